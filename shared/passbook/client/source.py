"""Where a subscription reads from: Kafka, or the fake for tests."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from passbook.messaging.consumer import Record
from passbook.messaging.member import Note, Share

Shared = Callable[[], None]
Revoked = Callable[[], Awaitable[None]]


class Source(Protocol):
    """A member of a group, as `passbook.messaging.member.Member` is one and describes it."""

    async def start(self) -> None:
        """Begin to join the group."""

    async def stop(self) -> None:
        """Leave it."""

    def share(self) -> Share | None:
        """Return what this member works on."""

    async def committed(self, partitions: Iterable[int]) -> dict[int, Note]:
        """Return what is stored of partitions."""

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return partition → the offset after its last record."""

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from here."""

    async def poll(
        self, partitions: Iterable[int], timeout_s: float
    ) -> tuple[int, dict[int, list[Record]]]:
        """Return the generation, and the next records of partitions."""

    async def commit(self, notes: Mapping[int, Note]) -> bool:
        """Store notes; False when partitions are being shared out anew."""


OpenSource = Callable[[Shared, Revoked], Source]
