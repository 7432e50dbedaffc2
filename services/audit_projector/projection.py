"""The heart of the audit projector: one entry an event, each chained to the one before."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

import asyncpg

from passbook.messaging.events import PublishedEvent
from services.audit_projector.chain import GENESIS, entry_hash

# `data` is json, not jsonb: it keeps the very bytes that were hashed.
_DDL: Final = """
CREATE TABLE entries (
    slot           smallint NOT NULL,
    schema_version smallint NOT NULL,
    version        integer NOT NULL,
    slot_seq       bigint NOT NULL CHECK (slot_seq > 0),
    event_id       uuid NOT NULL,
    account_id     uuid NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    event_type     text NOT NULL,
    data           json NOT NULL,
    actor          text NOT NULL,
    command_id     text NOT NULL,
    correlation_id text NOT NULL,
    prev_hash      bytea NOT NULL,
    hash           bytea NOT NULL,
    PRIMARY KEY (slot, slot_seq)
);
CREATE INDEX entries_account ON entries (account_id);
GRANT SELECT, INSERT ON entries TO passbook_audit_projector;
GRANT SELECT ON entries TO passbook_reader;
"""
_ENDS: Final = """
SELECT s.slot, e.hash FROM unnest($1::smallint[]) AS s(slot)
 CROSS JOIN LATERAL (SELECT hash FROM entries
                      WHERE slot = s.slot ORDER BY slot_seq DESC LIMIT 1) e
"""
_INSERT: Final = """
INSERT INTO entries (slot, slot_seq, event_id, account_id, version, event_type,
                           schema_version, data, actor, command_id, correlation_id,
                           occurred_at, recorded_at, prev_hash, hash)
SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::uuid[], $4::uuid[], $5::integer[],
                     $6::text[], $7::smallint[], $8::json[], $9::text[], $10::text[], $11::text[],
                     $12::timestamptz[], $13::timestamptz[], $14::bytea[], $15::bytea[])
"""
# Events that were decided or appended together share their times.
_moment: Final = lru_cache(maxsize=64)(datetime.fromisoformat)


class AuditProjection:
    """`audit.entries`: the log once more, in other hands than the event store's."""

    name = "audit"
    schema = "audit"
    writer = "passbook_audit_projector"
    version = 1
    ddl = (_DDL,)
    needs = ("SELECT entries", "INSERT entries")
    parks = False
    evidence = True
    gather_s = 0.05

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        """See `Projection.apply`. Every event becomes an entry, in the order of its slot."""
        # Read anew for every batch, inside its transaction: what this process remembers may have
        # been rolled back, or continued by another instance.
        ends = dict.fromkeys({event.slot for event in events}, GENESIS)
        ends |= dict(await connection.fetch(_ENDS, list(ends)))
        rows = []
        for event in events:
            slot, slot_seq, account_id, version, event_type, schema_version, event_id = event[:7]
            data, time, recorded_time, command_id, correlation_id, actor = event[7:]
            text = data.decode()
            previous = ends[slot]
            ends[slot] = entry_hash(
                previous,
                slot,
                slot_seq,
                event_id,
                account_id,
                version,
                event_type,
                schema_version,
                text,
                actor,
                command_id,
                correlation_id,
                time,
                recorded_time,
            )
            rows.append(
                (
                    slot,
                    slot_seq,
                    event_id,
                    account_id,
                    version,
                    event_type,
                    schema_version,
                    text,
                    actor,
                    command_id,
                    correlation_id,
                    _moment(time),
                    _moment(recorded_time),
                    previous,
                    ends[slot],
                )
            )
        await connection.execute(_INSERT, *zip(*rows, strict=True))
