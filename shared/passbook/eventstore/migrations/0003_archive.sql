-- The archive: the old part of the log moves into files. What is on record here is what readers
-- follow; a file that no row names does not count.

-- One run of archiving, with the SHA-256 of its manifest and of the manifest before it.
CREATE TABLE eventstore.archives (
    number          integer PRIMARY KEY CHECK (number > 0),
    file            text NOT NULL,
    sha256          bytea NOT NULL CHECK (octet_length(sha256) = 32),
    previous_sha256 bytea CHECK (octet_length(previous_sha256) = 32),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((number = 1) = (previous_sha256 IS NULL))
);

-- One file of a run: events of one slot. Their numbers lie between the first and the last, and have
-- holes where whole accounts were archived.
CREATE TABLE eventstore.archive_segments (
    archive   integer NOT NULL REFERENCES eventstore.archives,
    slot      smallint NOT NULL REFERENCES eventstore.slots,
    first_seq bigint NOT NULL CHECK (first_seq > 0),
    last_seq  bigint NOT NULL,
    events    bigint NOT NULL CHECK (events > 0),
    file      text NOT NULL,
    sha256    bytea NOT NULL CHECK (octet_length(sha256) = 32),
    bytes     bigint NOT NULL,
    PRIMARY KEY (slot, archive),
    CHECK (last_seq - first_seq + 1 >= events)
);

-- What is archived of a stream: its versions 1 to `version`, the last of them recorded at
-- `recorded_at`. The newest event of a slot is never archived.
CREATE TABLE eventstore.archived_streams (
    stream_id   uuid PRIMARY KEY,
    slot        smallint NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    recorded_at timestamptz NOT NULL
);

-- Rows may leave the log only when they are on record; everything else about it stays refused.
CREATE FUNCTION eventstore.refuse_removal() RETURNS trigger LANGUAGE plpgsql
SET search_path = eventstore, pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM gone g LEFT JOIN eventstore.archived_streams a USING (stream_id)
                WHERE a.version IS NULL OR a.version < g.version) THEN
        RAISE EXCEPTION 'DELETE on eventstore.events is refused: the log is append-only'
            USING ERRCODE = 'PB004';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER events_are_append_only ON eventstore.events;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR TRUNCATE ON eventstore.events
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse_change();
CREATE TRIGGER events_leave_on_record AFTER DELETE ON eventstore.events
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore.refuse_removal();

-- Puts a run on record and removes its rows, in the caller's transaction: the rows that leave are
-- those of the streams up to their versions, and must be as many as the segments have.
--
-- Refusals: PB005 the run is not the next one, or does not name what is in the table.
CREATE FUNCTION eventstore.archive(
    p_number integer, p_file text, p_sha256 bytea, p_previous_sha256 bytea,
    s_slot smallint[], s_first_seq bigint[], s_last_seq bigint[], s_events bigint[],
    s_file text[], s_sha256 bytea[], s_bytes bigint[],
    a_stream_id uuid[], a_slot smallint[], a_version integer[], a_recorded_at timestamptz[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = eventstore, pg_catalog, pg_temp AS $$
DECLARE
    v_last    archives;
    v_named   bigint;
    v_removed bigint;
BEGIN
    SELECT * INTO v_last FROM archives ORDER BY number DESC LIMIT 1;
    IF p_number <> coalesce(v_last.number, 0) + 1
       OR p_previous_sha256 IS DISTINCT FROM v_last.sha256 THEN
        RAISE EXCEPTION 'archive % does not follow archive %', p_number, coalesce(v_last.number, 0)
            USING ERRCODE = 'PB005';
    END IF;
    IF EXISTS (SELECT FROM unnest(s_slot, s_last_seq) AS n(slot, last_seq)
                 JOIN slots s USING (slot) WHERE n.last_seq >= s.head) THEN
        RAISE EXCEPTION 'the newest event of a slot is not archived' USING ERRCODE = 'PB005';
    END IF;
    INSERT INTO archives (number, file, sha256, previous_sha256)
    VALUES (p_number, p_file, p_sha256, p_previous_sha256);
    INSERT INTO archive_segments (archive, slot, first_seq, last_seq, events, file, sha256, bytes)
    SELECT p_number, n.*
      FROM unnest(s_slot, s_first_seq, s_last_seq, s_events, s_file, s_sha256, s_bytes) AS n;
    INSERT INTO archived_streams AS a (stream_id, slot, version, recorded_at)
    SELECT n.* FROM unnest(a_stream_id, a_slot, a_version, a_recorded_at) AS n
        ON CONFLICT (stream_id) DO UPDATE
       SET version = greatest(a.version, excluded.version), recorded_at = excluded.recorded_at;
    DELETE FROM events e USING unnest(a_stream_id, a_version) AS n(stream_id, version)
     WHERE e.stream_id = n.stream_id AND e.version <= n.version;
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    SELECT sum(n) INTO v_named FROM unnest(s_events) n;
    IF v_removed IS DISTINCT FROM v_named THEN
        RAISE EXCEPTION 'the segments have % events, the table has % of them', v_named, v_removed
            USING ERRCODE = 'PB005';
    END IF;
    RETURN v_removed;
END $$;

-- Puts events of an archive back. Not the last step: `unarchive` compares, in the same transaction.
CREATE FUNCTION eventstore.restore_events(
    e_slot smallint[], e_slot_seq bigint[], e_stream_id uuid[], e_version integer[],
    e_event_id uuid[], e_event_type text[], e_schema_version smallint[], e_data jsonb[],
    e_metadata jsonb[], e_occurred_at timestamptz[], e_recorded_at timestamptz[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = eventstore, pg_catalog, pg_temp AS $$
    INSERT INTO events (slot, slot_seq, stream_id, version, event_id, event_type, schema_version,
                        data, metadata, occurred_at, recorded_at)
    SELECT * FROM unnest(e_slot, e_slot_seq, e_stream_id, e_version, e_event_id, e_event_type,
                         e_schema_version, e_data, e_metadata, e_occurred_at, e_recorded_at)
$$;

-- Takes the newest archive off the record, given the streams of its segments with what remains
-- archived of each (version 0: nothing). Its events must be in the table again.
--
-- Refusals: PB005 it is not the newest, or not everything is back.
CREATE FUNCTION eventstore.unarchive(
    p_number integer, a_stream_id uuid[], a_version integer[], a_recorded_at timestamptz[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = eventstore, pg_catalog, pg_temp AS $$
DECLARE
    v_wanted bigint;
    v_back   bigint;
BEGIN
    IF p_number IS DISTINCT FROM (SELECT max(number) FROM archives) THEN
        RAISE EXCEPTION 'archive % is not the newest', p_number USING ERRCODE = 'PB005';
    END IF;
    SELECT sum(s.events) INTO v_wanted FROM archive_segments s WHERE s.archive = p_number;
    SELECT count(*) INTO v_back
      FROM unnest(a_stream_id, a_version) AS n(stream_id, version)
      JOIN archived_streams a USING (stream_id)
      JOIN events e ON e.stream_id = a.stream_id AND e.version > n.version
                   AND e.version <= a.version;
    IF v_back IS DISTINCT FROM v_wanted THEN
        RAISE EXCEPTION 'archive % has % events, % of them are back', p_number, v_wanted, v_back
            USING ERRCODE = 'PB005';
    END IF;
    DELETE FROM archive_segments WHERE archive = p_number;
    DELETE FROM archives WHERE number = p_number;
    DELETE FROM archived_streams a USING unnest(a_stream_id, a_version) AS n(stream_id, version)
     WHERE a.stream_id = n.stream_id AND n.version = 0;
    UPDATE archived_streams a SET version = n.version, recorded_at = n.recorded_at
      FROM unnest(a_stream_id, a_version, a_recorded_at) AS n(stream_id, version, recorded_at)
     WHERE a.stream_id = n.stream_id;
END $$;
REVOKE ALL ON FUNCTION eventstore.archive, eventstore.restore_events, eventstore.unarchive
    FROM PUBLIC;

-- Snapshots are valid for archived events, too.
CREATE OR REPLACE FUNCTION eventstore.recorded(p_stream_id uuid, p_version integer)
RETURNS TABLE (slot smallint, slot_seq bigint) LANGUAGE sql STABLE AS $$
    SELECT e.slot, e.slot_seq FROM eventstore.events e
     WHERE e.stream_id = p_stream_id AND e.version = p_version
     UNION ALL
    SELECT a.slot, 0 FROM eventstore.archived_streams a
     WHERE a.stream_id = p_stream_id AND a.version >= p_version
$$;

-- As before, and: what is archived of a stream counts in the comparison of versions and is as taken
-- as what is in the table (PB005). Both lookups are by the key of a table that is empty until
-- something is archived.
CREATE OR REPLACE FUNCTION eventstore.append(
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
        SELECT string_agg(format('%s %s %s', p.stream_id, p.version, s.version), '; ')
          INTO v_detail
          FROM unnest(p_streams, p_expected_versions) AS p(stream_id, version)
         CROSS JOIN LATERAL (
            SELECT coalesce(
                       (SELECT max(e.version) FROM events e WHERE e.stream_id = p.stream_id),
                       (SELECT a.version FROM archived_streams a WHERE a.stream_id = p.stream_id),
                       0) AS version) s
         WHERE p.version <> s.version;
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
    SELECT string_agg(format('%s %s', n.stream_id, n.version), '; ')
      INTO v_detail
      FROM unnest(e_stream_id, e_version) AS n(stream_id, version)
      JOIN archived_streams a ON a.stream_id = n.stream_id AND a.version >= n.version;
    IF v_detail IS NOT NULL THEN
        RAISE EXCEPTION 'these versions exist, archived: %', v_detail USING ERRCODE = 'PB005';
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

GRANT SELECT ON eventstore.archives, eventstore.archive_segments, eventstore.archived_streams
   TO passbook_command_service, passbook_outbox_relay, passbook_balance_projector,
      passbook_audit_projector, passbook_reader;
