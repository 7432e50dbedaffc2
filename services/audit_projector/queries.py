"""Reading the audit log of one account."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from passbook.messaging.cloudevents import format_time

_TRAIL: Final = """
SELECT slot, slot_seq, event_id, account_id, version, event_type, schema_version, data, actor, command_id,
       correlation_id, occurred_at, recorded_at, prev_hash, hash
  FROM audit.entries WHERE account_id = $1 AND version > $2 ORDER BY slot, slot_seq LIMIT $3
"""


class AuditEntry(NamedTuple):
    """One entry: the event, who wanted it, and its link in the chain of its slot.

    `recorded_at` is when the event store recorded it; `data` is the JSON text that was hashed.
    """

    slot: int
    slot_seq: int
    event_id: UUID
    account_id: UUID
    version: int
    event_type: str
    schema_version: int
    data: str
    actor: str
    command_id: str
    correlation_id: str
    occurred_at: datetime
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes

    def to_dict(self) -> dict[str, object]:
        """Return the entry ready for JSON; hashes in hexadecimal."""
        return self._asdict() | {
            "event_id": str(self.event_id),
            "account_id": str(self.account_id),
            "data": orjson.loads(self.data),
            "occurred_at": format_time(self.occurred_at),
            "recorded_at": format_time(self.recorded_at),
            "prev_hash": self.prev_hash.hex(),
            "hash": self.hash.hex(),
        }


async def audit_trail(
    connection: asyncpg.Pool | asyncpg.Connection,
    account_id: UUID,
    after_version: int = 0,
    limit: int | None = None,
) -> list[AuditEntry]:
    """Return the entries of an account after a version, oldest first: all, or up to `limit`."""
    rows = await connection.fetch(_TRAIL, account_id, after_version, limit)
    return [AuditEntry._make(row) for row in rows]
