-- Takes from the logins of projectors what they do not use. The database may be the event store's,
-- or another one: what belongs to a database is done in both.

-- The audit projector parks no account: an audit log with an account left out would be none. The
-- balance projector counts the events of a parked account, and changes nothing else about it.
REVOKE INSERT, UPDATE ON projections.parked
  FROM passbook_balance_projector, passbook_audit_projector;
GRANT INSERT (projection, account_id, slot, slot_seq, reason, events), UPDATE (events)
   ON projections.parked TO passbook_balance_projector;

-- As before, and: when no inline projection is left, its writer is let out again.
CREATE OR REPLACE FUNCTION projections.remove_inline(p_projection text, p_schema text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS %I ON eventstore.slots', p_projection || '_is_current');
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', p_schema);
    DELETE FROM projections.installed WHERE projection = p_projection;
    DELETE FROM passbook.migrations WHERE component = 'projection ' || p_projection;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'eventstore.slots'::regclass
                      AND tgfoid = 'projections.refuse_behind'::regproc)
    THEN
        REVOKE ALL ON projections.installed, projections.positions FROM passbook_command_service;
        REVOKE ALL (slot_seq) ON projections.positions FROM passbook_command_service;
        REVOKE ALL ON SCHEMA projections FROM passbook_command_service;
    END IF;
END $$;

-- See 0005 of the event store.
DO $do$
DECLARE
    v_function regprocedure;
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    IF to_regnamespace('public') IS NOT NULL THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        FOR v_function IN
            SELECT oid::regprocedure FROM pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace
               AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_export')
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', v_function);
        END LOOP;
    END IF;
END $do$;
DO $do$
DECLARE
    v_login text;
BEGIN
    FOREACH v_login IN ARRAY ARRAY['passbook_balance_projector', 'passbook_audit_projector',
        'passbook_query_api', 'passbook_reader']
    LOOP
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = %L',
                       v_login, current_database(), '1min');
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET client_connection_check_interval = %L',
                       v_login, current_database(), '10s');
        IF v_login <> 'passbook_reader' THEN
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = %L',
                           v_login, current_database(), '5min');
        END IF;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'the logins keep their settings: %', SQLERRM;
END $do$;
