"""Header names that are not UTF-8: read, instead of failing the consumer for ever.

Kafka's protocol calls the name of a header a string, but no broker looks, and clients in C send
whatever bytes they are given. aiokafka decodes names strictly, so that one such record in a
partition raises `UnicodeDecodeError` at every attempt to read on. Its reader is replaced here by
one that goes on in Python, with the odd bytes escaped, where the fast one gives up.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


def accept_any_header_name() -> None:
    """Let every consumer of this process escape what is no UTF-8 in the name of a header."""
    fetcher.MemoryRecords = _Records


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch returned for one partition: batch after batch."""

    def next_batch(self) -> "_Batch | None":  # type: ignore[override,unused-ignore]
        raw = self._next_slice
        batch = super().next_batch()
        return None if batch is None else _Batch(batch, raw)


class _Batch:
    """One batch, read by aiokafka's fast reader as far as that goes."""

    def __init__(self, batch: Any, raw: memoryview | None) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from islice(_AnyNameBatch(self._raw), read, None)


class _AnyNameBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _Escaped(self._buffer)


class _Escaped(bytearray):
    """Bytes whose parts decode to text whatever they are."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Escaped(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        return super().decode(encoding, "backslashreplace")
