"""The heads of the audit log's chains, read to be signed."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg

from services.audit_projector.chain import GENESIS
from services.audit_projector.checkpoints import Checkpoint, Head, SignedCheckpoint
from services.audit_projector.errors import NotSigned

_HEADS: Final = """
SELECT p.slot, p.slot_seq, e.slot_seq AS found, e.hash
  FROM projections.positions p
  LEFT JOIN LATERAL (SELECT slot_seq, hash FROM audit.entries
                      WHERE slot = p.slot ORDER BY slot_seq DESC LIMIT 1) e ON true
 WHERE p.projection = 'audit' ORDER BY p.slot
"""
_STANDING: Final = """
SELECT h.slot, h.slot_seq
  FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) AS h(slot, slot_seq, hash)
  LEFT JOIN audit.entries e ON e.slot = h.slot AND e.slot_seq = h.slot_seq AND e.hash = h.hash
 WHERE e.slot IS NULL ORDER BY h.slot LIMIT 1
"""
_ENVIRONMENT: Final = "SELECT environment_id FROM eventstore.store_info"


async def environment(event_store: asyncpg.Connection) -> UUID:
    """Return the id of the event store."""
    environment_id: UUID = await event_store.fetchval(_ENVIRONMENT)
    return environment_id


async def heads_to_sign(
    entries: asyncpg.Connection, environment_id: UUID, previous: SignedCheckpoint | None
) -> Checkpoint:
    """Return a checkpoint of the audit log as it stands, which follows `previous`.

    It costs 64 look-ups, however long the log: what lies before the heads is proved by
    verification. But nobody is to sign that what was signed before is gone.

    Raises:
        NotSigned: a chain does not end where the projection stands, or does not contain what the
            previous checkpoint names.
    """
    async with entries.transaction(isolation="repeatable_read", readonly=True):
        rows = await entries.fetch(_HEADS)
        if previous is not None:
            await _standing(entries, previous.checkpoint)
    heads = []
    for slot, position, found, digest in rows:
        if position != (found or 0):
            message = (
                f"slot {slot} ends at {found or 0}, but the projection has written up to "
                f"{position}: see `passbook audit verify`"
            )
            raise NotSigned(message)
        heads.append(Head(position, GENESIS if digest is None else digest))
    before = None if previous is None else previous.sha256
    return Checkpoint(environment_id, datetime.now(UTC), tuple(heads), before)


async def _standing(entries: asyncpg.Connection, before: Checkpoint) -> None:
    named = [(slot, head) for slot, head in enumerate(before.heads) if head.slot_seq]
    gone = await entries.fetchrow(
        _STANDING,
        [slot for slot, _ in named],
        [head.slot_seq for _, head in named],
        [head.hash for _, head in named],
    )
    if gone is not None:
        message = (
            f"entry {gone['slot']}:{gone['slot_seq']} is not the one that the previous checkpoint "
            "names: see `passbook audit verify`"
        )
        raise NotSigned(message)
