"""What can go wrong with evidence.

Exception
└── EvidenceError            something that is to prove or to be proved cannot be used
    ├── ExtraMissing         signatures need the extra `passbook[evidence]`
    ├── BadKey               a file is not the key that it should be
    ├── BadCheckpoint        a checkpoint proves nothing: forged, altered, foreign, unreadable
    └── NotSigned            the audit log is not in a state that anybody should sign
"""


class EvidenceError(Exception):
    """The root of this package's failures."""


class ExtraMissing(EvidenceError):
    """The package that signs is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "checkpoints are signed with `cryptography`: install it with "
            "`pip install 'passbook[evidence]'`"
        )


class BadKey(EvidenceError):
    """The file holds no such key; the message names it."""


class BadCheckpoint(EvidenceError):
    """`kind` is one of those that `services.audit_projector.checkpoints` lists."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class NotSigned(EvidenceError):
    """The audit log contradicts itself or the checkpoint before; verify it."""
