"""Dead letters: the record as it came, and where and why."""

from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from passbook.messaging.dead_letters import dead_letter
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD


def test_a_dead_letter_is_the_record_with_where_and_why() -> None:
    record = _record(b"\xff", b"\x00", (("ce_id", b"x"), ("ce_id", b"y")))

    key, value, headers = dead_letter(record, "amount: nö")

    assert (key, value) == (b"\xff", b"\x00")
    assert list(headers[:2]) == [("ce_id", b"x"), ("ce_id", b"y")]
    added = dict(headers[2:])
    failed_at = datetime.fromisoformat(added.pop("dlq-failed-at").decode())
    assert datetime.now(UTC) - failed_at < timedelta(minutes=1)
    assert added == {
        "dlq-topic": b"bank.commands",
        "dlq-partition": b"3",
        "dlq-offset": b"42",
        "dlq-error": "amount: nö".encode(),
    }


def test_what_is_too_large_for_the_topic_is_cut_and_says_how_large_it_was() -> None:
    large = MAX_DEAD_LETTER_RECORD * 5
    headers = (("ce_id", b"x"), ("wide", b"w" * large), *[("many", b"")] * 1000)
    record = _record(b"k" * large, b"v" * large, headers)

    key, value, kept = dead_letter(record, "value: too large")

    assert key is not None
    assert value is not None
    assert len(value) == 1024 * 1024
    assert record.key.startswith(key)
    assert kept[:2] == [("ce_id", b"x"), ("many", b"")]
    assert int(dict(kept)["dlq-truncated"]) > 3 * large
    assert dict(kept)["dlq-offset"] == b"42"
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, kept)
    assert size < MAX_DEAD_LETTER_RECORD


def _record(
    key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...]
) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        topic="bank.commands",
        partition=3,
        offset=42,
        timestamp=0,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key),
        serialized_value_size=len(value),
        headers=headers,
    )
