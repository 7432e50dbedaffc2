"""The heart of the audit projector: one entry an event, each chained to the one before."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg

from passbook.messaging.cloudevents import format_time
from passbook.messaging.events import PublishedEvent
from services.audit_projector.chain import GENESIS, entry_hash

# `data` is json, not jsonb: it keeps the very bytes that were hashed.
_DDL: Final = """
CREATE SCHEMA IF NOT EXISTS audit;
CREATE TABLE audit.entries (
    slot           smallint NOT NULL,
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
CREATE INDEX entries_account ON audit.entries (account_id);
GRANT USAGE ON SCHEMA audit TO passbook_audit_projector, passbook_reader;
GRANT SELECT, INSERT ON audit.entries TO passbook_audit_projector;
GRANT SELECT ON audit.entries TO passbook_reader;
"""
_ENDS: Final = """
SELECT s.slot, e.hash FROM unnest($1::smallint[]) AS s(slot)
 CROSS JOIN LATERAL (SELECT hash FROM audit.entries
                      WHERE slot = s.slot ORDER BY slot_seq DESC LIMIT 1) e
"""
_INSERT: Final = """
INSERT INTO audit.entries (slot, slot_seq, event_id, account_id, version, event_type, data, actor,
                           command_id, correlation_id, occurred_at, recorded_at, prev_hash, hash)
SELECT slot, slot_seq, event_id, account_id, version, event_type, data, actor,
       command_id, correlation_id, occurred_at, $1, prev_hash, hash
  FROM unnest($2::smallint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::integer[], $7::text[],
              $8::json[], $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::bytea[],
              $14::bytea[])
       AS e(slot, slot_seq, event_id, account_id, version, event_type, data, actor,
            command_id, correlation_id, occurred_at, prev_hash, hash)
"""


class AuditProjection:
    """`audit.entries`: the log once more, in other hands than the event store's."""

    name = "audit"
    version = 1
    ddl = _DDL
    parks = False

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        """See `Projection.apply`. Every event becomes an entry, in the order of its slot."""
        # Read anew for every batch, inside its transaction: what this process remembers may have
        # been rolled back, or continued by another instance.
        ends = dict.fromkeys({event.slot for event in events}, GENESIS)
        ends |= dict(await connection.fetch(_ENDS, list(ends)))
        now = datetime.now(UTC)
        recorded = format_time(now)
        rows = []
        moments: dict[str, datetime] = {}
        for event in events:
            slot, slot_seq, account_id, version, event_type, _, event_id, data, time = event[:9]
            command_id, correlation_id, actor = event[9:]
            text = data.decode()
            moment = moments.get(time)
            if moment is None:
                moment = moments[time] = datetime.fromisoformat(time)
            previous = ends[slot]
            digest = entry_hash(
                previous,
                slot,
                slot_seq,
                event_id,
                account_id,
                version,
                event_type,
                text,
                actor,
                command_id,
                correlation_id,
                time,
                recorded,
            )
            ends[slot] = digest
            rows.append(
                (
                    slot,
                    slot_seq,
                    event_id,
                    account_id,
                    version,
                    event_type,
                    text,
                    actor,
                    command_id,
                    correlation_id,
                    moment,
                    previous,
                    digest,
                )
            )
        await connection.execute(_INSERT, now, *zip(*rows, strict=True))
