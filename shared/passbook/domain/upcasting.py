"""Old shapes of event data, read as today's: a chain of pure steps, one per (type, version).

A stored event is never rewritten. Whoever reads one passes its raw data through
`EventUpcaster.upcast` and then only has to know the newest shape.
"""

from collections.abc import Callable, Mapping
from typing import Final

from passbook.domain.errors import UnknownEventType, UnknownSchemaVersion
from passbook.domain.events import EVENT_TYPES

Data = dict[str, str]
Step = Callable[[Data], Data]


def _money_deposited_1_to_2(data: Data) -> Data:
    return {**data, "reference": "legacy-deposit"}


STEPS: Final[Mapping[tuple[str, int], Step]] = {
    ("MoneyDeposited", 1): _money_deposited_1_to_2,
}
"""(event type, schema version) → the function to the next schema version."""


class EventUpcaster:
    """Brings event data of any known schema version to the newest."""

    def __init__(self, steps: Mapping[tuple[str, int], Step] = STEPS) -> None:
        """Use `steps` instead of the ledger's own, in tests."""
        self._steps = steps

    def upcast(self, event_type: str, schema_version: int, data: Data) -> Data:
        """Return `data` in the newest shape; `data` itself is left alone.

        Raises:
            UnknownEventType: no such event in this code.
            UnknownSchemaVersion: newer than this code, below 1, or a hole in the chain.
        """
        cls = EVENT_TYPES.get(event_type)
        if cls is None:
            raise UnknownEventType(event_type)
        for version in range(schema_version, cls.schema_version):
            step = self._steps.get((event_type, version))
            if step is None:
                raise UnknownSchemaVersion(event_type, schema_version)
            data = step(data)
        if schema_version > cls.schema_version:
            raise UnknownSchemaVersion(event_type, schema_version)
        return data
