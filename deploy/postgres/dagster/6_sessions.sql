-- Run as the superuser, because it ends other roles' sessions. The daemon calls it every second.
-- A session of a code location in this database is ended when another role has waited 2 s for a
-- lock of its, when it sits idle in a transaction for 10 s, or when its transaction lasts 60 s.
-- Dagster's own transactions here take milliseconds.
CREATE OR REPLACE FUNCTION control.end_hindering_sessions()
RETURNS TABLE (role name, pid integer, client inet, reason text, statement text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    session record;
BEGIN
    FOR session IN
        WITH location AS (
            SELECT activity.* FROM pg_stat_activity AS activity
            JOIN pg_roles AS holder ON holder.oid = activity.usesysid
            WHERE activity.datname = current_database() AND NOT holder.rolsuper
                AND holder.rolname <> 'dagster'
                AND pg_has_role(holder.oid, 'dagster_run', 'MEMBER')
        ), waiting AS (
            SELECT DISTINCT blocker, activity.usename FROM pg_locks AS lock
            JOIN pg_stat_activity AS activity USING (pid),
            LATERAL unnest(pg_blocking_pids(lock.pid)) AS blocker
            WHERE NOT lock.granted AND lock.waitstart < clock_timestamp() - interval '2 s'
        )
        SELECT location.usename, location.pid, location.client_addr, location.query, CASE
            WHEN EXISTS (
                SELECT FROM waiting WHERE waiting.blocker = location.pid
                    AND waiting.usename IS DISTINCT FROM location.usename
            ) THEN 'another role waited 2 s for its lock'
            WHEN location.state LIKE 'idle in transaction%'
                AND location.state_change < clock_timestamp() - interval '10 s'
                THEN 'it was idle in a transaction for 10 s'
            WHEN location.xact_start < clock_timestamp() - interval '60 s'
                THEN 'its transaction lasted 60 s'
        END AS why
        FROM location
    LOOP
        IF session.why IS NOT NULL AND pg_terminate_backend(session.pid) THEN
            role := session.usename;
            pid := session.pid;
            client := session.client_addr;
            reason := session.why;
            statement := left(session.query, 200);
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION control.end_hindering_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.end_hindering_sessions TO dagster;

-- Large objects would fill the disk without any table of one's own.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
