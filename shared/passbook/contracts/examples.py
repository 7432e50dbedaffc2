"""One example of every message, written by the code that writes the real ones."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from passbook.contracts.schemas import command_name, event_name
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.domain.slots import slot_of
from passbook.messaging import commands, events, outcomes
from passbook.messaging.cloudevents import Header

ACCOUNT: Final = UUID("0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11")
_SENT: Final = datetime(2026, 1, 31, 12, 0, 0, 120_000, UTC)
_DECIDED: Final = datetime(2026, 1, 31, 12, 0, 0, 124_503, UTC)
_COMMAND_ID: Final = "6b4a1c1e-92f4-4a55-8bb2-63fbd2f3a0{:02}"
_EVENT_ID: Final = "019c13f0-a87c-7a53-8f0e-2d7a9f6e1b{:02}"
_ID: Final = str(ACCOUNT)

_COMMANDS: Final[tuple[Command, ...]] = (
    OpenAccount(ACCOUNT, "Zoë Müller", Decimal("500.00")),
    DepositMoney(ACCOUNT, Decimal("200.00"), "salary"),
    WithdrawMoney(ACCOUNT, Decimal("50.00"), "coffee", expected_version=2),
    FreezeAccount(ACCOUNT, "court order"),
    CloseAccount(ACCOUNT),
)
_EVENTS: Final[tuple[tuple[str, int, dict[str, str]], ...]] = (
    (
        "AccountOpened",
        1,
        {"account_id": _ID, "owner_name": "Zoë Müller", "initial_deposit": "500.00"},
    ),
    ("MoneyDeposited", 1, {"account_id": _ID, "amount": "200.00"}),
    ("MoneyDeposited", 2, {"account_id": _ID, "amount": "200.00", "reference": "salary"}),
    ("MoneyWithdrawn", 1, {"account_id": _ID, "amount": "50.00", "reference": "coffee"}),
    ("AccountFrozen", 1, {"account_id": _ID, "reason": "court order"}),
    ("AccountClosed", 1, {"account_id": _ID, "closing_balance": "650.00"}),
)


class Example(NamedTuple):
    """One record: its key, its headers as text, and its data."""

    key: str
    headers: dict[str, str]
    payload: dict[str, Any]


def command_examples() -> dict[str, Example]:
    """Return an example of each command, by the name of its shape."""
    made = {}
    for number, command in enumerate(_COMMANDS, start=1):
        record = commands.encode(
            command,
            command_id=_command_id(number),
            source="/shop/checkout",
            time=outcomes.format_decided_at(_SENT).decode(),
            actor="zoe",
        )
        made[command_name(type(command))] = _example(*record)
    return made


def event_examples() -> dict[str, Example]:
    """Return an example of each event and schema version, by the name of its shape."""
    made = {}
    for number, (event_type, schema_version, data) in enumerate(_EVENTS, start=1):
        headers = events.encode_headers(
            slot_of(ACCOUNT),
            number,
            _ID.encode(),
            number,
            _event_id(number),
            event_type,
            schema_version,
            orjson.dumps({"command_id": str(_command_id(number)), "actor": "zoe"}).decode(),
            _DECIDED,
            _DECIDED,
        )
        name = event_name(event_type, schema_version)
        made[name] = _example(_ID.encode(), orjson.dumps(data), headers)
    return made


def outcome_examples() -> dict[str, Example]:
    """Return an example of an acceptance and a rejection, by `ce_type` without its prefix."""
    accepted = outcomes.document(_command_id(2), ACCOUNT, 2, (_event_id(3),), None, None)
    rejected = outcomes.document(
        _command_id(3),
        ACCOUNT,
        2,
        (),
        "insufficient_funds",
        "Insufficient funds: balance=20.00, requested=50.00",
    )
    return {
        name: _example(
            *outcomes.encode(
                document,
                ce_id=outcomes.outcome_id(UUID(str(document["command_id"]))),
                decided_at=outcomes.format_decided_at(_DECIDED),
                request_hash=bytes(range(16)),
                context={"actor": "zoe"},
            )
        )
        for name, document in (("CommandAccepted", accepted), ("CommandRejected", rejected))
    }


def _command_id(number: int) -> UUID:
    return UUID(_COMMAND_ID.format(number))


def _event_id(number: int) -> UUID:
    return UUID(_EVENT_ID.format(number))


def _example(key: bytes | None, value: bytes, headers: list[Header]) -> Example:
    assert key is not None, "every example has an account"
    text = {name: content.decode() for name, content in headers}
    return Example(key.decode(), text, orjson.loads(value))
