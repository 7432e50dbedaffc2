-- Makes sure that whatever is recorded in a slot from now on is recorded after p_moment: waits for
-- the append in flight, then raises the slot's newest recording time, which no append goes below,
-- to just above the moment. Without that, a clock that is set back (as a failover to another server
-- can do) would let a later append slip in before a moment that was answered for already.
--
-- Returns NULL when that is so, and the clock when it has not reached the moment: nobody can push
-- the times of the log into the future. A slot that has recorded something after the moment needs
-- no call and no write; callers look first.
CREATE FUNCTION eventstore.settle(p_slot smallint, p_moment timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = eventstore, pg_catalog, pg_temp
SET lock_timeout = '10s' AS $$
DECLARE
    v_newest timestamptz;
    v_now    timestamptz;
BEGIN
    SELECT s.last_recorded_at INTO STRICT v_newest
      FROM slots s WHERE s.slot = p_slot FOR NO KEY UPDATE;
    IF v_newest > p_moment THEN
        RETURN NULL;
    END IF;
    v_now := clock_timestamp();
    IF p_moment >= v_now THEN
        RETURN v_now;
    END IF;
    UPDATE slots s SET last_recorded_at = p_moment + interval '1 microsecond'
     WHERE s.slot = p_slot;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION eventstore.settle FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventstore.settle TO passbook_command_service, passbook_reader;
