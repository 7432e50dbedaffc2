-- Inline projections: rows that change in the transaction that appends the events. They live in the
-- database of the event store. Only the owner of the schemas can use these functions.

-- Refuses, when a transaction commits, that the log moved and the projection did not: whoever appends
-- without it would leave its rows behind, and they are read because they never are.
CREATE FUNCTION projections.refuse_behind() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = projections, pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM positions p WHERE p.projection = TG_ARGV[0]
                      AND p.slot = NEW.slot AND p.slot_seq >= NEW.head)
    THEN
        RAISE EXCEPTION
            'the inline projection % would stay behind in slot %: append with it, or remove it',
            TG_ARGV[0], NEW.slot USING ERRCODE = 'PB006';
    END IF;
    RETURN NULL;
END $$;

-- From the end of this transaction on nothing is appended without the projection. Call it where
-- appends are locked out and the positions are the heads.
CREATE FUNCTION projections.guard_inline(p_projection text, p_writer text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA projections TO %I', p_writer);
    EXECUTE format('GRANT SELECT ON projections.installed, projections.positions TO %I', p_writer);
    EXECUTE format('GRANT UPDATE (slot_seq) ON projections.positions TO %I', p_writer);
    EXECUTE format(
        'CREATE CONSTRAINT TRIGGER %I AFTER UPDATE ON eventstore.slots'
        ' DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.head > OLD.head)'
        ' EXECUTE FUNCTION projections.refuse_behind(%L)',
        p_projection || '_is_current', p_projection);
END $$;

-- Forgets an inline projection: its guard, its rows, its positions.
CREATE FUNCTION projections.remove_inline(p_projection text, p_schema text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS %I ON eventstore.slots', p_projection || '_is_current');
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', p_schema);
    DELETE FROM projections.installed WHERE projection = p_projection;
    DELETE FROM passbook.migrations WHERE component = 'projection ' || p_projection;
END $$;

REVOKE EXECUTE ON FUNCTION projections.refuse_behind, projections.guard_inline,
    projections.remove_inline FROM PUBLIC;
