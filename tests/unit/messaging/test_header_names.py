"""Header names that are no UTF-8: read with the odd bytes escaped, in every codec."""

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from passbook.messaging.header_names import accept_any_header_name
from tests.support.outsider import RawName

_ODD = RawName(b"gr\xf6\xdfe")
_CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@pytest.mark.parametrize("codec", _CODECS)
def test_every_record_around_an_odd_header_name_is_read_once(codec: str) -> None:
    accept_any_header_name()
    names = ["fine", "größe", _ODD, "fine", _ODD, "fine"]
    one, two = (_batch(_CODECS[codec], names) for _ in range(2))
    records = fetcher.MemoryRecords(one + two)
    found = []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        found += [(r.offset, r.key, r.value, r.headers) for r in batch]
        assert batch.next_offset == len(names)
    escaped = ["fine", "größe", r"gr\xf6\xdfe", "fine", r"gr\xf6\xdfe", "fine"]
    assert found == 2 * [
        (number, b"%d" % number, b"value", [(name, None)]) for number, name in enumerate(escaped)
    ]


def _batch(codec: int, names: list[str]) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, 0, 1 << 20)
    for number, name in enumerate(names):
        builder.append(number, 1000, b"%d" % number, b"value", [(name, None)])
    return bytes(builder.build())
