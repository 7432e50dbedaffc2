-- Takes from the logins what their services do not use, and from everybody what nobody uses.

-- The relay and the projectors read the log, how far it goes and how far it is published. What
-- commands were answered, snapshots and the manifests of archives are not theirs to see.
REVOKE SELECT ON eventstore.commands, eventstore.snapshots, eventstore.archives
  FROM passbook_outbox_relay, passbook_balance_projector, passbook_audit_projector;
REVOKE EXECUTE ON FUNCTION eventstore.recorded, eventstore.newest_snapshots
  FROM passbook_outbox_relay, passbook_balance_projector, passbook_audit_projector;

-- A position is made once and moved; its slot stays.
REVOKE INSERT, UPDATE ON eventstore.relay_positions FROM passbook_outbox_relay;
GRANT INSERT (slot, published_seq, partition, kafka_offset),
      UPDATE (published_seq, partition, kafka_offset, updated_at)
   ON eventstore.relay_positions TO passbook_outbox_relay;

-- `settle` has taken its place.
REVOKE EXECUTE ON FUNCTION eventstore.settled FROM passbook_command_service, passbook_reader;

-- Made without saying so, functions are everybody's.
REVOKE EXECUTE ON FUNCTION eventstore.refuse_change, eventstore.refuse_removal FROM PUBLIC;

-- Temporary tables and large objects fill the disk of the log, and a temporary table can stand in
-- the way of a name. No service makes either. Who runs this but does not own the database, or is no
-- superuser, gets a warning instead and the right stays; `passbook doctor` tells.
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

-- Services bound what they wait for, and then break off. The server would go on with a statement
-- whose client is gone, and keep what it has locked. These are for what got away: far above what a
-- service waits for, and any session may set them otherwise.
DO $do$
DECLARE
    v_login text;
BEGIN
    FOREACH v_login IN ARRAY ARRAY['passbook_command_service', 'passbook_outbox_relay',
        'passbook_balance_projector', 'passbook_audit_projector', 'passbook_query_api',
        'passbook_reader']
    LOOP
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = %L',
                       v_login, current_database(), '1min');
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET client_connection_check_interval = %L',
                       v_login, current_database(), '10s');
    END LOOP;
    FOREACH v_login IN ARRAY ARRAY['passbook_outbox_relay', 'passbook_balance_projector',
        'passbook_audit_projector', 'passbook_query_api']
    LOOP
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = %L',
                       v_login, current_database(), '5min');
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'the logins keep their settings: %', SQLERRM;
END $do$;
