"""Why a read model could not be kept, waited for, or built anew.

Exception
├── CannotApply (protocol)           events do not fit the rows: the runtime finds out whose
├── Fenced (positions)               somebody else has moved the positions: look again
├── PartStopped (passbook.service)
│   └── ProjectionStopped (protocol) going on would lose something; the message says what to do
│       └── InlineRefused (inline)   also an EventStoreError: nothing was appended
├── NotThatFar (waiting)             the view has not reached the version in time: ask again
└── RebuildError                     nothing was swapped, the live rows are as they were
    ├── AnotherRebuild               one of the same projection is under way: wait for it
    ├── NoTurn                       the live projection could not be held for a moment: try again
    ├── EvidenceDiffers              the rows are evidence and differ: find out why, never replace
    └── NothingKept                  there is no former copy to go back to, or to compare
"""


class RebuildError(Exception):
    """The root of this package's refusals to rebuild. The live rows are as they were."""


class AnotherRebuild(RebuildError):
    """A rebuild, rollback or verification of the same projection is under way."""


class NoTurn(RebuildError):
    """Others were in the way for too long. The copy is kept: the same command goes on from there."""


class EvidenceDiffers(RebuildError):
    """The live rows are evidence and are not what the log gives. They stay, and so does the copy."""

    def __init__(self, projection: str, copy_schema: str, differing: int) -> None:
        super().__init__(
            f"{differing} rows of {projection} are not what the log gives; they are evidence, and "
            f"were not replaced: find out why. What the log gives is in the schema {copy_schema}"
        )
        self.differing = differing


class NothingKept(RebuildError):
    """There is no former copy of the projection: it was never rebuilt."""
