-- Copies of a projection beside it: built from the log by `passbook projection rebuild`, compared,
-- and put in its place. Only the owner of the schemas can use these functions: they have no rights
-- of their own.

-- The projection that this row is a copy of; null for one that readers know.
ALTER TABLE projections.installed
    ADD COLUMN copy_of text REFERENCES projections.installed ON DELETE CASCADE;

-- Removes a copy and everything that says how far it was.
CREATE FUNCTION projections.drop_copy(p_copy text, p_schema text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', p_schema);
    DELETE FROM projections.installed WHERE projection = p_copy AND copy_of IS NOT NULL;
END $$;

-- Whoever was given rights on the live tables after they were made has them on the copy too.
CREATE FUNCTION projections.grant_alike(p_live text, p_copy text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_grant text;
BEGIN
    FOR v_grant IN
        SELECT format('GRANT %s ON SCHEMA %I TO %s', a.privilege_type, p_copy,
                      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
          FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a
         WHERE n.nspname = p_live
        UNION ALL
        SELECT format('GRANT %s ON %I.%I TO %s', a.privilege_type, p_copy, c.relname,
                      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
          FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
         WHERE c.relnamespace = p_live::regnamespace AND c.relkind = 'r'
    LOOP
        EXECUTE v_grant;
    END LOOP;
END $$;

-- A table that was just filled has no statistics, and readers would get bad plans.
CREATE FUNCTION projections.analyze_copy(p_schema text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_table regclass;
BEGIN
    FOR v_table IN
        SELECT oid FROM pg_class WHERE relnamespace = p_schema::regnamespace AND relkind = 'r'
    LOOP
        EXECUTE format('ANALYZE %s', v_table);
    END LOOP;
END $$;

-- Every table of the live schema: how many rows it and its namesake in the copy have, and how many
-- accounts those of the copy are about.
CREATE FUNCTION projections.count_rows(p_live text, p_copy text)
RETURNS TABLE (table_name text, live bigint, rebuilt bigint, accounts bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_accounts text;
BEGIN
    FOR table_name, v_accounts IN
        SELECT c.relname,
               CASE WHEN a.attnum IS NULL THEN '0'
                    WHEN k.conkey = ARRAY[a.attnum] THEN 'count(*)'
                    ELSE 'count(DISTINCT account_id)' END
          FROM pg_class c
          LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
          LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account_id'
         WHERE c.relnamespace = p_live::regnamespace AND c.relkind = 'r' ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT (SELECT count(*) FROM %1$I.%3$I), count(*), %4$s FROM %2$I.%3$I',
                       p_live, p_copy, table_name, v_accounts) INTO live, rebuilt, accounts;
        RETURN NEXT;
    END LOOP;
END $$;

-- The first `p_most` rows of every table that differ, each with how many there are in the table;
-- `live` or `rebuilt` is null where there is no such row. Values are compared as they are stored
-- (operator *<>), which works for types without equality, like json, and told as text.
CREATE FUNCTION projections.differences(p_live text, p_copy text, p_most integer)
RETURNS TABLE (table_name text, total bigint, live jsonb, rebuilt jsonb)
LANGUAGE plpgsql STABLE SET timezone = 'UTC' AS $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT c.relname,
               string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                   FILTER (WHERE a.attnum = ANY (k.conkey)) AS keys,
               min(quote_ident(a.attname)) FILTER (WHERE a.attnum = k.conkey[1]) AS key,
               string_agg('l.' || quote_ident(a.attname), ', ' ORDER BY a.attname) AS ls,
               string_agg('r.' || quote_ident(a.attname), ', ' ORDER BY a.attname) AS rs,
               string_agg(format('%L, l.%I::text', a.attname, a.attname), ', '
                          ORDER BY a.attnum) AS told_l,
               string_agg(format('%L, r.%I::text', a.attname, a.attname), ', '
                          ORDER BY a.attnum) AS told_r
          FROM pg_class c
          JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = p_live::regnamespace AND c.relkind = 'r'
         GROUP BY c.relname ORDER BY c.relname
    LOOP
        RETURN QUERY EXECUTE format($q$
            SELECT %1$L::text, count(*) OVER (),
                   CASE WHEN l.%5$s IS NOT NULL THEN jsonb_build_object(%8$s) END,
                   CASE WHEN r.%5$s IS NOT NULL THEN jsonb_build_object(%9$s) END
              FROM %2$I.%1$I l FULL JOIN %3$I.%1$I r USING (%4$s)
             WHERE ROW(%6$s)::record *<> ROW(%7$s)::record
             LIMIT %10$s $q$,
            t.relname, p_live, p_copy, t.keys, t.key, t.ls, t.rs, t.told_l, t.told_r, p_most);
    END LOOP;
END $$;

-- Puts a copy in the place of the live projection, which becomes the copy `p_old`. Call it where
-- the live positions are locked, and both are at the same ones.
CREATE FUNCTION projections.swap(
    p_live text, p_copy text, p_old text,
    p_live_schema text, p_copy_schema text, p_old_schema text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_between text := p_live || '_between';
BEGIN
    IF EXISTS (SELECT FROM projections.positions l JOIN projections.positions c USING (slot)
                WHERE l.projection = p_live AND c.projection = p_copy
                  AND l.slot_seq <> c.slot_seq)
    THEN
        RAISE EXCEPTION 'projection % and its copy % are at different positions', p_live, p_copy;
    END IF;

    IF p_old <> p_copy THEN
        PERFORM projections.drop_copy(p_old, p_old_schema);
        INSERT INTO projections.installed (projection, version, environment_id, copy_of)
        SELECT p_old, version, environment_id, p_live
          FROM projections.installed WHERE projection = p_live;
    END IF;

    -- Parked accounts go with the rows that lack their events. An account may be parked in both.
    INSERT INTO projections.installed (projection, version) VALUES (v_between, 0);
    UPDATE projections.parked SET projection = v_between WHERE projection = p_copy;
    UPDATE projections.parked SET projection = p_old WHERE projection = p_live;
    UPDATE projections.parked SET projection = p_live WHERE projection = v_between;
    DELETE FROM projections.installed WHERE projection = v_between;

    -- The positions are the same ones; what an instance remembers about the rows is not.
    UPDATE projections.positions SET generation = generation + 1 WHERE projection = p_live;
    IF p_old <> p_copy THEN
        UPDATE projections.positions SET projection = p_old WHERE projection = p_copy;
        DELETE FROM projections.installed WHERE projection = p_copy;
    END IF;

    EXECUTE format('ALTER SCHEMA %I RENAME TO %I', p_live_schema, p_live_schema || '_between');
    EXECUTE format('ALTER SCHEMA %I RENAME TO %I', p_copy_schema, p_live_schema);
    EXECUTE format('ALTER SCHEMA %I RENAME TO %I', p_live_schema || '_between', p_old_schema);
END $$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA projections FROM PUBLIC;
