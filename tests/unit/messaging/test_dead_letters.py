"""Dead letters: the record as it came, and where and why."""

from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord

from passbook.messaging.dead_letters import dead_letter


def test_a_dead_letter_is_the_record_with_where_and_why() -> None:
    record: ConsumerRecord[bytes, bytes] = ConsumerRecord(
        topic="bank.commands",
        partition=3,
        offset=42,
        timestamp=0,
        timestamp_type=0,
        key=b"\xff",
        value=b"\x00",
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=1,
        headers=(("ce_id", b"x"), ("ce_id", b"y")),
    )

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
