"""Records of the command topic as a foreign sender writes them: plain JSON and headers."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Header = tuple[str, bytes]

ACCOUNT: Final = "0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11"
COMMAND: Final = "6b4a1c1e-92f4-4a55-8bb2-63fbd2f3a001"
DATA: Final[Mapping[str, dict[str, Any]]] = {
    "OpenAccount": {"account_id": ACCOUNT, "owner_name": "Ada", "initial_deposit": "500.00"},
    "DepositMoney": {"account_id": ACCOUNT, "amount": "20.00", "reference": "salary"},
    "WithdrawMoney": {"account_id": ACCOUNT, "amount": "20.00", "reference": "coffee"},
    "FreezeAccount": {"account_id": ACCOUNT, "reason": "court order"},
    "CloseAccount": {"account_id": ACCOUNT},
}
"""Command → data that is right."""


class Message(NamedTuple):
    """One record: what `decode` takes and a producer sends."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]


def message(
    kind: str = "DepositMoney",
    *,
    data: Mapping[str, Any] | None = None,
    value: bytes | None = None,
    key: bytes | None = None,
    **headers: str | bytes | None,
) -> Message:
    """Return a right message of a kind, with `data`'s fields changed (None: left out), or with
    another value, key or headers (None: a header that is left out).
    """
    fields = {**DATA.get(kind, DATA["DepositMoney"]), **(data or {})}
    fields = {name: field for name, field in fields.items() if field is not None}
    account = str(fields.get("account_id", ACCOUNT)).encode()
    every = {
        "ce_specversion": "1.0",
        "ce_id": COMMAND,
        "ce_type": f"bank.{kind}",
        "ce_source": "/tests",
        "ce_time": "2026-01-31T12:00:00Z",
        "content-type": "application/json",
        **headers,
    }
    return Message(
        account if key is None else key,
        json.dumps(fields).encode() if value is None else value,
        [
            (name, text if isinstance(text, bytes) else text.encode())
            for name, text in every.items()
            if text is not None
        ],
    )
