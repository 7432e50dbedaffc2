-- The event store: 64 append-only logs with gapless counters, and one function that writes.
CREATE SCHEMA eventstore;

CREATE TABLE eventstore.store_info (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    environment_id uuid NOT NULL DEFAULT gen_random_uuid(),
    slot_count     smallint NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO eventstore.store_info (slot_count) VALUES (64);

-- One row a slot, updated by every append. Pages are left nearly empty so that each new row
-- version stays on its page (HOT) and no index entry is ever written.
CREATE TABLE eventstore.slots (
    slot             smallint PRIMARY KEY CHECK (slot >= 0 AND slot < 64),
    head             bigint NOT NULL DEFAULT 0 CHECK (head >= 0),
    last_recorded_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
INSERT INTO eventstore.slots (slot) SELECT generate_series(0, 63);

-- The log is also the outbox: there is no second table to fill and to empty.
CREATE TABLE eventstore.events (
    slot           smallint NOT NULL,
    schema_version smallint NOT NULL CHECK (schema_version > 0),
    version        integer NOT NULL CHECK (version > 0),
    slot_seq       bigint NOT NULL CHECK (slot_seq > 0),
    stream_id      uuid NOT NULL,
    event_id       uuid NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    event_type     text NOT NULL,
    data           jsonb NOT NULL,
    metadata       jsonb NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (slot, slot_seq),
    CONSTRAINT events_stream_version_key UNIQUE (stream_id, version)
);

-- What was decided on every command, for ever: the memory behind "one effect and one outcome".
CREATE TABLE eventstore.commands (
    command_id    uuid CONSTRAINT commands_pkey PRIMARY KEY,
    request_hash  bytea NOT NULL,
    stream_id     uuid,
    version       integer NOT NULL,
    event_ids     uuid[] NOT NULL,
    error_code    text,
    error_message text,
    decided_at    timestamptz NOT NULL,
    CHECK ((error_code IS NULL) = (error_message IS NULL)),
    CHECK (error_code IS NULL OR event_ids = '{}')
);

-- How far the relay has published. A hint for a fast start; the tail of the Kafka log is the truth.
CREATE TABLE eventstore.relay_positions (
    slot          smallint PRIMARY KEY REFERENCES eventstore.slots,
    published_seq bigint NOT NULL,
    partition     integer NOT NULL,
    kafka_offset  bigint NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

CREATE FUNCTION eventstore.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: the log is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'PB004';
END $$;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventstore.events
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse_change();
CREATE TRIGGER commands_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eventstore.commands
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse_change();

-- The one way to write. All or nothing, in one round trip:
--
--   1. lock the touched slots, in slot order, so that two appends never wait for each other;
--   2. compare: expected slot heads (NULL: not compared), then expected stream versions;
--   3. insert command outcomes and events, numbered head+1 … head+n in the order given;
--   4. move the heads. The locks are held to commit: number order is commit order, without holes.
--
-- Refusals: PB001 a slot's head moved (DETAIL: the slots), PB002 a stream's version differs
-- (DETAIL: stream, expected, actual), 23505 on commands_pkey for a command id decided before,
-- 23505 on events_stream_version_key for a version that exists.
-- Returns the new head of every slot that got events, and the time its events were recorded.
CREATE FUNCTION eventstore.append(
    p_slots smallint[], p_expected_heads bigint[],
    p_streams uuid[], p_expected_versions integer[],
    e_slot smallint[], e_stream_id uuid[], e_version integer[], e_event_id uuid[],
    e_event_type text[], e_schema_version smallint[], e_data jsonb[], e_metadata jsonb[],
    e_occurred_at timestamptz[],
    c_command_id uuid[], c_request_hash bytea[], c_stream_id uuid[], c_version integer[],
    c_event_ids text[], c_error_code text[], c_error_message text[], c_decided_at timestamptz[]
) RETURNS TABLE (slot smallint, head bigint, recorded_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = eventstore, pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_slots    smallint[];
    v_heads    bigint[];
    v_recorded timestamptz[];
    v_now      timestamptz;
    v_detail   text;
BEGIN
    SELECT array_agg(l.slot), array_agg(l.head), array_agg(l.last_recorded_at)
      INTO v_slots, v_heads, v_recorded
      FROM (SELECT s.slot, s.head, s.last_recorded_at
              FROM slots s WHERE s.slot = ANY (p_slots) ORDER BY s.slot FOR UPDATE) l;
    v_now := clock_timestamp();

    SELECT string_agg(format('slot %s: expected head %s, found %s', p.slot, p.head, l.head), '; ')
      INTO v_detail
      FROM unnest(p_slots, p_expected_heads) AS p(slot, head)
      LEFT JOIN unnest(v_slots, v_heads) AS l(slot, head) USING (slot)
     WHERE l.head IS NULL OR p.head <> l.head;
    IF v_detail IS NOT NULL THEN
        RAISE EXCEPTION 'slot moved' USING ERRCODE = 'PB001', DETAIL = v_detail;
    END IF;

    IF cardinality(p_streams) > 0 THEN
        SELECT string_agg(format('%s %s %s', p.stream_id, p.version, coalesce(s.version, 0)), '; ')
          INTO v_detail
          FROM unnest(p_streams, p_expected_versions) AS p(stream_id, version)
          LEFT JOIN LATERAL (SELECT max(e.version) AS version
                               FROM events e WHERE e.stream_id = p.stream_id) s ON true
         WHERE p.version <> coalesce(s.version, 0);
        IF v_detail IS NOT NULL THEN
            RAISE EXCEPTION 'stream moved' USING ERRCODE = 'PB002', DETAIL = v_detail;
        END IF;
    END IF;

    IF cardinality(c_command_id) > 0 THEN
        INSERT INTO commands (command_id, request_hash, stream_id, version, event_ids,
                              error_code, error_message, decided_at)
        SELECT c.command_id, c.request_hash, c.stream_id, c.version, c.event_ids::uuid[],
               c.error_code, c.error_message, c.decided_at
          FROM unnest(c_command_id, c_request_hash, c_stream_id, c_version, c_event_ids,
                      c_error_code, c_error_message, c_decided_at)
               AS c(command_id, request_hash, stream_id, version, event_ids,
                    error_code, error_message, decided_at);
    END IF;

    IF cardinality(e_slot) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO events (slot, slot_seq, stream_id, version, event_id, event_type, schema_version,
                        data, metadata, occurred_at, recorded_at)
    SELECT e.slot, l.head + row_number() OVER (PARTITION BY e.slot ORDER BY e.place),
           e.stream_id, e.version, e.event_id, e.event_type, e.schema_version,
           e.data, e.metadata, e.occurred_at, greatest(v_now, l.recorded_at)
      FROM unnest(e_slot, e_stream_id, e_version, e_event_id, e_event_type, e_schema_version,
                  e_data, e_metadata, e_occurred_at) WITH ORDINALITY
           AS e(slot, stream_id, version, event_id, event_type, schema_version,
                data, metadata, occurred_at, place)
      LEFT JOIN unnest(v_slots, v_heads, v_recorded) AS l(slot, head, recorded_at) USING (slot);

    RETURN QUERY
    UPDATE slots s SET head = s.head + n.events, last_recorded_at = greatest(v_now, l.recorded_at)
      FROM (SELECT e.slot, count(*) AS events FROM unnest(e_slot) AS e(slot) GROUP BY e.slot) n
      JOIN unnest(v_slots, v_recorded) AS l(slot, recorded_at) USING (slot)
     WHERE s.slot = n.slot
    RETURNING s.slot, s.head, s.last_recorded_at;
END $$;
REVOKE ALL ON FUNCTION eventstore.append FROM PUBLIC;

-- Waits until no append to the slot is in flight and returns its head and newest recording time,
-- for readers that may not lock rows themselves.
CREATE FUNCTION eventstore.settled(p_slot smallint, OUT head bigint, OUT last_recorded_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = eventstore, pg_catalog, pg_temp AS $$
    SELECT s.head, s.last_recorded_at FROM slots s WHERE s.slot = p_slot FOR SHARE
$$;
REVOKE ALL ON FUNCTION eventstore.settled FROM PUBLIC;

GRANT USAGE ON SCHEMA eventstore TO passbook_command_service, passbook_outbox_relay,
    passbook_balance_projector, passbook_audit_projector, passbook_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA eventstore TO passbook_command_service, passbook_outbox_relay,
    passbook_balance_projector, passbook_audit_projector, passbook_reader;
GRANT EXECUTE ON FUNCTION eventstore.append TO passbook_command_service;
GRANT EXECUTE ON FUNCTION eventstore.settled TO passbook_command_service, passbook_reader;
GRANT INSERT, UPDATE ON eventstore.relay_positions TO passbook_outbox_relay;
