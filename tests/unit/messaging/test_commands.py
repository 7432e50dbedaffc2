"""Commands that are understood."""

import json
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.messaging.commands import BadCommand, CommandMessage, decode, encode
from tests.support.messages import ACCOUNT, COMMAND, DATA, message

_ID = UUID(ACCOUNT)
_AMOUNTS = st.integers(0, 999_999_999_999_999).map(lambda cents: Decimal(cents).scaleb(-2))
_NAMES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=140)
_VERSIONS = st.one_of(st.none(), st.integers(0, 2**31 - 1))
_IDS = st.uuids()
_COMMANDS = st.one_of(
    st.builds(OpenAccount, _IDS, _NAMES, _AMOUNTS, _VERSIONS),
    st.builds(DepositMoney, _IDS, _AMOUNTS, _NAMES, _VERSIONS),
    st.builds(WithdrawMoney, _IDS, _AMOUNTS, _NAMES, _VERSIONS),
    st.builds(FreezeAccount, _IDS, _NAMES, _VERSIONS),
    st.builds(CloseAccount, _IDS, _VERSIONS),
)


def understood(found: CommandMessage | BadCommand) -> CommandMessage:
    assert isinstance(found, CommandMessage), found
    return found


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("OpenAccount", OpenAccount(_ID, "Ada", Decimal("500.00"))),
        ("DepositMoney", DepositMoney(_ID, Decimal("20.00"), "salary")),
        ("WithdrawMoney", WithdrawMoney(_ID, Decimal("20.00"), "coffee")),
        ("FreezeAccount", FreezeAccount(_ID, "court order")),
        ("CloseAccount", CloseAccount(_ID)),
    ],
)
def test_every_command_of_the_contract_is_understood(kind: str, command: Command) -> None:
    found = understood(decode(*message(kind)))
    assert found.command == command
    assert found.command_id == UUID(COMMAND)
    assert found.account_id == _ID
    assert found.context == {}
    assert len(found.request_hash) == 16


@pytest.mark.parametrize("kind", DATA)
def test_every_command_may_carry_the_version_it_was_made_for(kind: str) -> None:
    found = understood(decode(*message(kind, data={"expected_version": 7})))
    assert found.command.expected_version == 7


def test_a_movement_needs_no_reference() -> None:
    found = understood(decode(*message(data={"reference": None})))
    assert found.command == DepositMoney(_ID, Decimal("20.00"), "")


def test_texts_arrive_in_normal_form() -> None:
    found = understood(decode(*message("OpenAccount", data={"owner_name": "Zoe\u0308"})))
    assert found.command == OpenAccount(_ID, "Zo\u00eb", Decimal("500.00"))


def test_the_newest_schema_version_may_be_named() -> None:
    assert understood(decode(*message(ce_schemaversion="1")))


def test_the_subject_may_name_the_account() -> None:
    assert understood(decode(*message(ce_subject=ACCOUNT)))


def test_unknown_headers_are_ignored() -> None:
    assert understood(decode(*message(ce_tenant="x", anything=b"\xff\x00")))


def test_an_id_in_capitals_is_the_same_id() -> None:
    assert understood(decode(*message(ce_id=COMMAND.upper()))).command_id == UUID(COMMAND)


def test_what_is_to_be_passed_on_is_kept() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    found = understood(
        decode(*message(ce_correlationid="order 7", ce_actor="Zoë", traceparent=trace))
    )
    assert found.context == {"correlation_id": "order 7", "actor": "Zoë", "traceparent": trace}


@pytest.mark.parametrize("trace", ["", "nonsense", b"\xff", "00-" + "0" * 500, "a\0b"])
def test_a_broken_trace_is_not_the_customers_problem(trace: str | bytes) -> None:
    assert understood(decode(*message(traceparent=trace))).context == {}


@given(
    command=_COMMANDS,
    command_id=_IDS,
    correlation_id=st.one_of(st.none(), _NAMES),
    actor=st.one_of(st.none(), _NAMES),
)
def test_what_we_write_is_what_we_read(
    command: Command, command_id: UUID, correlation_id: str | None, actor: str | None
) -> None:
    record = encode(
        command,
        command_id=command_id,
        source="/tests",
        time="2026-01-31T12:00:00Z",
        correlation_id=correlation_id,
        actor=actor,
    )
    found = understood(decode(*record))
    assert (found.command, found.command_id) == (command, command_id)
    given_context = {"correlation_id": correlation_id, "actor": actor}
    assert found.context == {name: text for name, text in given_context.items() if text}
    assert record[0] == str(command.account_id).encode()


def _hash(kind: str = "DepositMoney", **data: object) -> bytes:
    return understood(decode(*message(kind, data=data))).request_hash


def test_the_same_content_has_the_same_hash_however_it_is_written() -> None:
    fields = {**DATA["DepositMoney"], "expected_version": 3}
    backwards = json.dumps(dict(reversed(fields.items())), indent=3).encode()
    reference = understood(decode(*message(data=fields)))
    other = understood(decode(*message(value=backwards, ce_id=COMMAND.upper(), ce_time="later")))
    assert other.request_hash == reference.request_hash
    assert _hash(amount="20") == _hash(amount="20.0") == _hash(amount="20.00")
    assert _hash(reference="Zo\u00eb") == _hash(reference="Zoe\u0308")


def test_other_content_has_another_hash() -> None:
    other_account = "0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a12"
    hashes = [
        _hash(),
        _hash(amount="20.01"),
        _hash(reference="Salary"),
        _hash(expected_version=0),
        _hash(expected_version=1),
        _hash(account_id=other_account),
        _hash("WithdrawMoney", reference="salary"),
        _hash("OpenAccount"),
        _hash("CloseAccount"),
        _hash("FreezeAccount"),
    ]
    assert len(set(hashes)) == len(hashes)


@given(first=_COMMANDS, second=_COMMANDS)
def test_hashes_are_equal_exactly_for_equal_commands(first: Command, second: Command) -> None:
    def content(command: Command) -> bytes:
        record = encode(command, command_id=UUID(COMMAND), source="/tests", time="now")
        return understood(decode(*record)).request_hash

    assert (content(first) == content(second)) == (first == second)


def test_a_faster_class_of_ids_may_be_used() -> None:
    class FastUUID(UUID):
        pass

    found = understood(decode(*message(), FastUUID))
    assert type(found.command_id) is type(found.account_id) is FastUUID
