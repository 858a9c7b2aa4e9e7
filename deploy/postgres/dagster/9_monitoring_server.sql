-- Run as the superuser, because others' sessions and other databases' sizes are not shown to a role
-- without pg_monitor; and that shows the text of their statements, too.
CREATE OR REPLACE FUNCTION monitoring.sessions()
RETURNS TABLE (role text, database text, state text, sessions bigint, waiting bigint,
    longest_statement_s float, longest_transaction_s float)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT coalesce(usename, ''), coalesce(datname, ''), coalesce(state, ''), count(*),
        count(*) FILTER (WHERE wait_event_type = 'Lock'),
        coalesce(max(extract(epoch FROM clock_timestamp() - query_start))
            FILTER (WHERE state = 'active'), 0)::float,
        coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float
    FROM pg_stat_activity WHERE backend_type = 'client backend'
    GROUP BY usename, datname, state
$$;

CREATE OR REPLACE FUNCTION monitoring.databases()
RETURNS TABLE (database text, bytes bigint, commits bigint, rollbacks bigint, deadlocks bigint,
    temp_bytes bigint, blocks_read bigint, blocks_hit bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT datname, pg_database_size(datid), xact_commit, xact_rollback, deadlocks, temp_bytes,
        blks_read, blks_hit
    FROM pg_stat_database WHERE datname IN ('dagster', 'warehouse')
$$;

-- The largest tables of Dagster's, with their indexes; dead rows are what VACUUM has not freed yet.
CREATE OR REPLACE FUNCTION monitoring.tables()
RETURNS TABLE ("table" text, bytes bigint, live_rows bigint, dead_rows bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup
    FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 2 DESC LIMIT 10
$$;

REVOKE ALL ON FUNCTION monitoring.sessions, monitoring.databases, monitoring.tables FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.sessions, monitoring.databases, monitoring.tables
    TO dagster_monitoring;
