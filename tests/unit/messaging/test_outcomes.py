"""Outcomes on the wire."""

import json
from datetime import UTC, datetime
from hashlib import sha1
from typing import Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from passbook.messaging.outcomes import document, encode, format_decided_at, outcome_id
from tests.support.messages import ACCOUNT, COMMAND

_COMMAND: Final = UUID(COMMAND)
_EVENT: Final = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
_WHEN: Final = format_decided_at(datetime(2026, 1, 31, 12, tzinfo=UTC))


@given(st.uuids(), st.text(st.characters(codec="ascii"), max_size=40))
def test_the_id_of_an_outcome_is_a_uuid_of_version_5(command_id: UUID, variant: str) -> None:
    found = UUID(outcome_id(command_id, variant))
    assert (found.version, found.variant) == (5, "specified in RFC 4122")
    assert outcome_id(command_id, variant) == str(found)


def test_the_id_of_an_outcome_never_changes() -> None:
    """Consumers recognise a repeated outcome by it, also across releases."""
    namespace = UUID("5f1ad1d3-6a3f-5a7e-9c39-0b6f5c1d2e4a").bytes
    digest = sha1(namespace + _COMMAND.bytes, usedforsecurity=False).digest()
    assert outcome_id(_COMMAND) == str(UUID(bytes=digest[:16], version=5))
    assert outcome_id(_COMMAND) == "d15c8e29-9dc1-5086-b8a7-6d647f45d58d"


@given(st.lists(st.uuids(), unique=True, min_size=2, max_size=20))
def test_every_command_has_its_own(command_ids: list[UUID]) -> None:
    assert len({outcome_id(command_id) for command_id in command_ids}) == len(command_ids)


def test_the_document_of_an_accepted_command() -> None:
    assert document(_COMMAND, UUID(ACCOUNT), 3, (_EVENT,), None, None) == {
        "command_id": COMMAND,
        "account_id": ACCOUNT,
        "outcome": "accepted",
        "version": 3,
        "events": [str(_EVENT)],
        "error": None,
    }


def test_the_document_of_a_rejected_command() -> None:
    refusal = ("insufficient_funds", "Insufficient funds: balance=1.00, requested=2.00")
    assert document(_COMMAND, UUID(ACCOUNT), 3, (), *refusal) == {
        "command_id": COMMAND,
        "account_id": ACCOUNT,
        "outcome": "rejected",
        "version": 3,
        "events": [],
        "error": {"code": refusal[0], "message": refusal[1]},
    }


def test_the_record_of_an_accepted_command() -> None:
    told = document(_COMMAND, UUID(ACCOUNT), 3, (_EVENT,), None, None)
    context = {"actor": "Zoë", "correlation_id": "order 7"}
    key, value, headers = encode(
        told, ce_id="x", decided_at=_WHEN, request_hash=b"\x0f", context=context
    )
    assert key == ACCOUNT.encode()
    assert json.loads(value) == told
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"x",
        "ce_type": b"bank.CommandAccepted",
        "ce_source": b"/passbook",
        "ce_subject": ACCOUNT.encode(),
        "ce_time": b"2026-01-31T12:00:00.000000Z",
        "content-type": b"application/json",
        "ce_version": b"3",
        "ce_commandid": COMMAND.encode(),
        "ce_requesthash": b"0f",
        "ce_correlationid": b"order 7",
        "ce_actor": "Zoë".encode(),
    }


def test_the_record_of_a_command_of_no_account() -> None:
    told = document(_COMMAND, None, 0, (), "malformed", "value: none")
    key, value, headers = encode(
        told, ce_id="x", decided_at=_WHEN, request_hash=b"\x0f", context={}
    )
    assert key is None
    assert json.loads(value)["account_id"] is None
    assert dict(headers)["ce_type"] == b"bank.CommandRejected"
    assert "ce_subject" not in dict(headers)
