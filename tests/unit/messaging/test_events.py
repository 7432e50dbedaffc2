"""Events on the wire: what the relay writes is what projectors read, and what the store says."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbook.domain.account import BankAccount
from passbook.domain.errors import UnknownEventType, UnknownSchemaVersion
from passbook.domain.slots import slot_of
from passbook.eventstore.memory import InMemoryEventStore
from passbook.eventstore.store import RecordedEvent, new_event
from passbook.messaging.cloudevents import format_time
from passbook.messaging.events import ForeignRecord, PublishedEvent, decode, encode_headers
from passbook.projection.recorded import from_recorded
from tests.support.messages import ACCOUNT, COMMAND

_ID: Final = UUID(ACCOUNT)
_EVENT: Final = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
_TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_DEPOSIT: Final = RecordedEvent(
    slot=13,
    slot_seq=1234567890123,
    stream_id=_ID,
    version=2,
    event_id=_EVENT,
    event_type="MoneyDeposited",
    schema_version=2,
    data='{"amount": "20.00", "reference": "Zoë", "account_id": "' + ACCOUNT + '"}',
    metadata=f'{{"actor": "Zoë", "command_id": "{COMMAND}", "correlation_id": "order 7", '
    f'"traceparent": "{_TRACE}"}}',
    occurred_at=datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC),
    recorded_at=datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC),
)


def _record(event: RecordedEvent) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    key = str(event.stream_id).encode()
    headers = encode_headers(
        event.slot,
        event.slot_seq,
        key,
        event.version,
        event.event_id,
        event.event_type,
        event.schema_version,
        event.metadata,
        event.occurred_at,
        event.recorded_at,
    )
    return key, event.data.encode(), headers


def test_the_headers_are_those_of_the_contract() -> None:
    _, _, headers = _record(_DEPOSIT)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": str(_EVENT).encode(),
        "ce_type": b"bank.MoneyDeposited",
        "ce_source": b"/passbook",
        "ce_subject": ACCOUNT.encode(),
        "ce_time": b"2026-01-31T12:00:00.000001Z",
        "ce_recordedtime": b"2026-01-31T12:00:01.000000Z",
        "content-type": b"application/json",
        "ce_slot": b"13",
        "ce_slotseq": b"1234567890123",
        "ce_version": b"2",
        "ce_schemaversion": b"2",
        "ce_commandid": COMMAND.encode(),
        "ce_correlationid": b"order 7",
        "ce_actor": "Zoë".encode(),
        "traceparent": _TRACE.encode(),
    }
    assert len(headers) == len(dict(headers))


def test_an_event_without_a_command_says_nothing_of_one() -> None:
    _, _, headers = _record(_DEPOSIT._replace(metadata="{}"))
    assert (
        dict(headers)
        .keys()
        .isdisjoint({"ce_commandid", "ce_correlationid", "ce_actor", "traceparent"})
    )


def test_what_is_published_is_what_the_store_says() -> None:
    found = decode(*_record(_DEPOSIT))
    assert found == from_recorded(_DEPOSIT)
    assert found == PublishedEvent(
        13,
        1234567890123,
        ACCOUNT,
        2,
        "MoneyDeposited",
        2,
        str(_EVENT),
        _DEPOSIT.data.encode(),
        "2026-01-31T12:00:00.000001Z",
        "2026-01-31T12:00:01.000000Z",
        COMMAND,
        "order 7",
        "Zoë",
    )


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(
    context=st.dictionaries(st.sampled_from(["correlation_id", "actor"]), _TEXT),
    amount=st.integers(1, 10**15 - 1),
    reference=_TEXT,
    microsecond=st.integers(0, 999_999),
)
async def test_invariant_4_kafka_carries_any_event_as_the_store_has_it(
    context: dict[str, str], amount: int, reference: str, microsecond: int
) -> None:
    """Through the encoder and back, an event equals the stored one, field by field, to the byte.

    Seen to fail: with times cut to milliseconds in the headers.
    """
    store = InMemoryEventStore()
    metadata = orjson.dumps({"command_id": COMMAND, **context}).decode()
    data = orjson.dumps(
        {"account_id": ACCOUNT, "amount": f"{amount / 100:.2f}", "reference": reference}
    ).decode()
    event = new_event(
        slot_of(_ID), _ID, BankAccount.open(_ID, "x", Decimal(100)).pending_events[0], metadata
    )
    moment = datetime(2026, 1, 31, tzinfo=UTC) + timedelta(microseconds=microsecond)
    event = event._replace(
        event_type="MoneyDeposited", schema_version=2, data=data, occurred_at=moment
    )
    await store.append_batch({event.slot: 0}, [event], [])
    (recorded,) = await store.history(_ID)

    found = decode(*_record(recorded))

    assert found == from_recorded(recorded)
    assert found.data == recorded.data.encode()
    assert found.decode() == recorded.decode()


def test_the_encoder_does_not_mix_up_times() -> None:
    now, later = _DEPOSIT.occurred_at, _DEPOSIT.occurred_at + timedelta(seconds=1)
    rest = (b"k", 1, _EVENT, "MoneyDeposited", 2, "{}")
    times = [
        dict(encode_headers(1, 1, *rest, moment, now))["ce_time"] for moment in (now, later, now)
    ]
    assert times[0] == times[2] != times[1] == b"2026-01-31T12:00:01.000001Z"


def test_times_are_written_in_utc_with_microseconds() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert format_time(noon) == "2026-01-31T12:00:00.000000Z"
    assert format_time(noon.astimezone(timezone(timedelta(hours=5)))) == format_time(noon)


def test_an_event_of_today_is_decoded() -> None:
    event = decode(*_record(_DEPOSIT)).decode()
    assert (event.event_type, event.version, event.account_id) == ("MoneyDeposited", 2, _ID)
    assert event.data["amount"] == "20.00"


def test_an_event_of_an_old_shape_is_decoded() -> None:
    old = _DEPOSIT._replace(schema_version=1, data=f'{{"amount":"1.00","account_id":"{ACCOUNT}"}}')
    assert decode(*_record(old)).decode().data["reference"] == "legacy-deposit"


def test_what_this_code_does_not_know_is_handed_on_and_raises_when_decoded() -> None:
    promoted = decode(*_record(_DEPOSIT._replace(event_type="AccountPromoted")))
    assert promoted.event_type == "AccountPromoted"
    with pytest.raises(UnknownEventType):
        promoted.decode()
    with pytest.raises(UnknownSchemaVersion):
        decode(*_record(_DEPOSIT._replace(schema_version=3))).decode()


def test_unknown_headers_and_fields_are_ignored() -> None:
    key, value, headers = _record(_DEPOSIT)
    more = value[:-1] + b', "colour": "blue"}'
    event = decode(key, more, [*headers, ("ce_tenant", b"x")])
    assert event.decode() == decode(key, value, headers).decode()


_OURS = (
    "ce_slot",
    "ce_slotseq",
    "ce_version",
    "ce_type",
    "ce_schemaversion",
    "ce_id",
    "ce_time",
    "ce_recordedtime",
)


@pytest.mark.parametrize("header", _OURS)
@pytest.mark.parametrize("text", ["missing", None, b"\xff"])
def test_a_record_without_our_headers_is_foreign(header: str, text: Any) -> None:
    key, value, headers = _record(_DEPOSIT)
    changed: list[Any] = [(name, text if name == header else had) for name, had in headers]
    if text == "missing":
        changed = [(name, had) for name, had in headers if name != header]
    with pytest.raises(ForeignRecord, match="not an event of ours"):
        decode(key, value, changed)


@pytest.mark.parametrize("slot", [b"-1", b"64", b"999999999999999999999", b"1.0", b""])
def test_a_record_of_a_slot_that_does_not_exist_is_foreign(slot: bytes) -> None:
    key, value, headers = _record(_DEPOSIT)
    with pytest.raises(ForeignRecord):
        decode(key, value, [*headers, ("ce_slot", slot)])


def test_a_record_without_key_or_value_is_foreign() -> None:
    key, value, headers = _record(_DEPOSIT)
    with pytest.raises(ForeignRecord, match="key"):
        decode(None, value, headers)
    with pytest.raises(ForeignRecord, match="value"):
        decode(key, None, headers)
