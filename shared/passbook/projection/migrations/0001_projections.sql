-- Where every projection stands. Lives in the database of the read models, so that a position and
-- the rows it stands for change in one transaction.
CREATE SCHEMA projections;

-- Which projections there are, and from which event store they were built.
CREATE TABLE projections.installed (
    projection     text PRIMARY KEY,
    version        integer NOT NULL,
    environment_id uuid,
    installed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE projections.positions (
    projection text NOT NULL REFERENCES projections.installed ON DELETE CASCADE,
    slot       smallint NOT NULL CHECK (slot >= 0 AND slot < 64),
    slot_seq   bigint NOT NULL DEFAULT 0 CHECK (slot_seq >= 0),
    -- Counts how often the rows behind the position were replaced by other than applying events: an
    -- instance that remembers anything about them is fenced and looks again.
    generation integer NOT NULL DEFAULT 1,
    PRIMARY KEY (projection, slot)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Accounts that a projection cannot apply. Their later events are counted, everybody else flows.
CREATE TABLE projections.parked (
    projection text NOT NULL REFERENCES projections.installed ON DELETE CASCADE,
    account_id uuid NOT NULL,
    slot       smallint NOT NULL,
    slot_seq   bigint NOT NULL,
    reason     text NOT NULL,
    events     bigint NOT NULL DEFAULT 1,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, account_id)
);

GRANT USAGE ON SCHEMA projections
   TO passbook_balance_projector, passbook_audit_projector, passbook_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA projections
   TO passbook_balance_projector, passbook_audit_projector, passbook_reader;
GRANT UPDATE (slot_seq) ON projections.positions
   TO passbook_balance_projector, passbook_audit_projector;
GRANT UPDATE (environment_id) ON projections.installed
   TO passbook_balance_projector, passbook_audit_projector;
GRANT INSERT, UPDATE ON projections.parked
   TO passbook_balance_projector, passbook_audit_projector;
