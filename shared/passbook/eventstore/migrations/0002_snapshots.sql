-- Snapshots: folded states of accounts, so that a long history need not be replayed. Derived, and
-- never trusted: a reader uses one of its own fold version, whose hash is right and whose event is
-- in the log, and otherwise replays. The table may be emptied at any time.
CREATE TABLE eventstore.snapshots (
    stream_id    uuid NOT NULL,
    version      integer NOT NULL CHECK (version > 0),
    fold_version integer NOT NULL CHECK (fold_version > 0),
    state        jsonb NOT NULL,
    state_hash   bytea NOT NULL CHECK (octet_length(state_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT snapshots_pkey PRIMARY KEY (stream_id, version)
);

-- Where the event with this version stands in the log: one row, or none when the log has no such
-- event. This is the one place that decides whether a snapshot's event is really there; whoever
-- moves events out of the table replaces this function, so that it answers for those on record
-- elsewhere too. An event whose number is not on record there is answered with slot_seq 0, "older
-- than any head": a reader whose head is behind it is refused by its next append all the same.
CREATE FUNCTION eventstore.recorded(p_stream_id uuid, p_version integer)
RETURNS TABLE (slot smallint, slot_seq bigint) LANGUAGE sql STABLE AS $$
    SELECT e.slot, e.slot_seq FROM eventstore.events e
     WHERE e.stream_id = p_stream_id AND e.version = p_version
$$;

-- The newest snapshot of each stream that is not above its version in p_up_to, has this fold
-- version, and, when heads are given (slot n's at n+1), whose event is not above its slot's head.
-- is_recorded is false when the log has no such event. A locked table is waited for only briefly:
-- replaying is always possible.
CREATE FUNCTION eventstore.newest_snapshots(
    p_streams uuid[], p_up_to integer[], p_fold_version integer, p_heads bigint[]
) RETURNS TABLE (stream_id uuid, version integer, fold_version integer, state jsonb,
                 state_hash bytea, is_recorded boolean)
LANGUAGE plpgsql STABLE SET lock_timeout = '250ms' AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT n.stream_id, n.version, n.fold_version, n.state, n.state_hash, n.is_recorded
      FROM unnest(p_streams, p_up_to) AS w(stream_id, up_to)
     CROSS JOIN LATERAL (
        SELECT s.stream_id, s.version, s.fold_version, s.state, s.state_hash,
               r.slot IS NOT NULL AS is_recorded
          FROM eventstore.snapshots s
          LEFT JOIN LATERAL eventstore.recorded(s.stream_id, s.version) r ON true
         WHERE s.stream_id = w.stream_id AND s.version <= w.up_to
           AND s.fold_version = p_fold_version
           AND (p_heads IS NULL OR r.slot IS NULL OR r.slot_seq <= p_heads[r.slot + 1])
         ORDER BY s.version DESC LIMIT 1) n;
END $$;

-- The one way to write: stores those whose event is in the log, over what stood there, and returns
-- how many. A (stream, version) may come once a call.
CREATE FUNCTION eventstore.save_snapshots(
    p_stream_id uuid[], p_version integer[], p_fold_version integer[], p_state jsonb[],
    p_state_hash bytea[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = eventstore, pg_catalog, pg_temp
SET lock_timeout = '1s' AS $$
DECLARE
    v_stored bigint;
BEGIN
    INSERT INTO snapshots AS s (stream_id, version, fold_version, state, state_hash)
    SELECT n.stream_id, n.version, n.fold_version, n.state, n.state_hash
      FROM unnest(p_stream_id, p_version, p_fold_version, p_state, p_state_hash)
           AS n(stream_id, version, fold_version, state, state_hash)
     WHERE EXISTS (SELECT FROM eventstore.recorded(n.stream_id, n.version))
     ORDER BY n.stream_id, n.version
        ON CONFLICT ON CONSTRAINT snapshots_pkey DO UPDATE
       SET fold_version = excluded.fold_version, state = excluded.state,
           state_hash = excluded.state_hash, created_at = excluded.created_at
     WHERE (s.fold_version, s.state, s.state_hash)
           IS DISTINCT FROM (excluded.fold_version, excluded.state, excluded.state_hash);
    GET DIAGNOSTICS v_stored = ROW_COUNT;
    RETURN v_stored;
END $$;

REVOKE ALL ON FUNCTION eventstore.recorded, eventstore.newest_snapshots, eventstore.save_snapshots
    FROM PUBLIC;
GRANT SELECT ON eventstore.snapshots TO passbook_command_service, passbook_outbox_relay,
    passbook_balance_projector, passbook_audit_projector, passbook_reader;
GRANT EXECUTE ON FUNCTION eventstore.recorded, eventstore.newest_snapshots
    TO passbook_command_service, passbook_outbox_relay, passbook_balance_projector,
       passbook_audit_projector, passbook_reader;
GRANT EXECUTE ON FUNCTION eventstore.save_snapshots TO passbook_command_service;
