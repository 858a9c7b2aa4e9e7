-- What the role of a code location may do with Dagster's tables. Every location's role is a member
-- of dagster_run. Row security says whose rows; columns are granted one by one, because
-- LOCK TABLE needs a right on the whole table, and an id of the writer's choice could move
-- every reader's cursor. What a row may say is the business of the triggers (2_runs.sql to
-- 4_pools.sql).
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM dagster_run;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM dagster_run;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM dagster_run;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM dagster_run;
GRANT USAGE ON SCHEMA public, control TO dagster_run;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA control FROM PUBLIC;
-- For the policies below.
GRANT EXECUTE ON FUNCTION control.owns, control.owns_event, control.takes_part_in TO dagster_run;

-- Schedules, sensors, their ticks, heartbeats and cursors are the control plane's alone.
GRANT SELECT ON runs, run_tags, event_logs, asset_keys, asset_event_tags, asset_check_executions,
    dynamic_partitions, concurrency_limits, concurrency_slots, pending_steps, bulk_actions,
    backfill_tags, snapshots, instance_info, secondary_indexes, alembic_version, kvs TO dagster_run;

GRANT UPDATE (status, run_body, partition, partition_set, update_timestamp, start_time, end_time)
    ON runs TO dagster_run;
GRANT INSERT (run_id, key, value), UPDATE (value) ON run_tags TO dagster_run;
GRANT INSERT (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    ON event_logs TO dagster_run;
GRANT INSERT (event_id, asset_key, key, value, event_timestamp) ON asset_event_tags TO dagster_run;
GRANT INSERT (asset_key, last_materialization, last_run_id, last_materialization_timestamp),
    UPDATE (last_materialization, last_run_id, last_materialization_timestamp, cached_status_data)
    ON asset_keys TO dagster_run;
GRANT INSERT (asset_key, check_name, partition, run_id, execution_status, evaluation_event,
        evaluation_event_timestamp, evaluation_event_storage_id, materialization_event_storage_id),
    UPDATE (partition, execution_status, evaluation_event, evaluation_event_timestamp,
        evaluation_event_storage_id, materialization_event_storage_id)
    ON asset_check_executions TO dagster_run;
GRANT INSERT (partitions_def_name, partition) ON dynamic_partitions TO dagster_run;
GRANT INSERT (concurrency_key, "limit", using_default_limit), UPDATE ("limit")
    ON concurrency_limits TO dagster_run;
GRANT INSERT (concurrency_key, run_id, step_key, deleted), UPDATE (run_id, step_key, deleted)
    ON concurrency_slots TO dagster_run;
GRANT INSERT (concurrency_key, run_id, step_key, priority, assigned_timestamp),
    UPDATE (assigned_timestamp) ON pending_steps TO dagster_run;
-- There is no DELETE by columns: these three can be locked as a whole, and the daemon ends a
-- session that does it (6_sessions.sql).
GRANT DELETE ON dynamic_partitions, concurrency_slots, pending_steps TO dagster_run;
GRANT USAGE ON SEQUENCE run_tags_id_seq, event_logs_id_seq, asset_event_tags_id_seq,
    asset_keys_id_seq, asset_check_executions_id_seq, dynamic_partitions_id_seq,
    concurrency_limits_id_seq, concurrency_slots_id_seq, pending_steps_id_seq TO dagster_run;

-- The owner, role dagster, is not subject to row security.
ALTER TABLE runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE asset_event_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE asset_check_executions ENABLE ROW LEVEL SECURITY;
ALTER TABLE concurrency_slots ENABLE ROW LEVEL SECURITY;
ALTER TABLE pending_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulk_actions ENABLE ROW LEVEL SECURITY;
ALTER TABLE backfill_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE kvs ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS own ON runs;
CREATE POLICY own ON runs TO dagster_run USING (control.owns(run_id));
DROP POLICY IF EXISTS own ON run_tags;
CREATE POLICY own ON run_tags TO dagster_run USING (control.owns(run_id));

-- Lineage and data versions need the asset events of all locations.
DROP POLICY IF EXISTS readable ON event_logs;
CREATE POLICY readable ON event_logs FOR SELECT TO dagster_run
    USING (asset_key IS NOT NULL OR run_id = '' OR control.owns(run_id));
DROP POLICY IF EXISTS own ON event_logs;
-- The trigger asks whose run it is, once, and says it more clearly.
CREATE POLICY own ON event_logs FOR INSERT TO dagster_run WITH CHECK (true);
DROP POLICY IF EXISTS readable ON asset_event_tags;
CREATE POLICY readable ON asset_event_tags FOR SELECT TO dagster_run USING (true);
DROP POLICY IF EXISTS own ON asset_event_tags;
CREATE POLICY own ON asset_event_tags FOR INSERT TO dagster_run
    WITH CHECK (control.owns_event(event_id));
DROP POLICY IF EXISTS readable ON asset_check_executions;
CREATE POLICY readable ON asset_check_executions FOR SELECT TO dagster_run USING (true);
DROP POLICY IF EXISTS own ON asset_check_executions;
CREATE POLICY own ON asset_check_executions FOR INSERT TO dagster_run
    WITH CHECK (run_id = '' OR control.owns(run_id));
DROP POLICY IF EXISTS own_changes ON asset_check_executions;
CREATE POLICY own_changes ON asset_check_executions FOR UPDATE TO dagster_run
    USING (control.owns(run_id));

DROP POLICY IF EXISTS readable ON concurrency_slots;
CREATE POLICY readable ON concurrency_slots FOR SELECT TO dagster_run USING (true);
DROP POLICY IF EXISTS unclaimed ON concurrency_slots;
CREATE POLICY unclaimed ON concurrency_slots FOR INSERT TO dagster_run
    WITH CHECK (run_id IS NULL AND step_key IS NULL);
DROP POLICY IF EXISTS unclaimed_or_own ON concurrency_slots;
CREATE POLICY unclaimed_or_own ON concurrency_slots FOR UPDATE TO dagster_run
    USING (run_id IS NULL OR control.owns(run_id));
DROP POLICY IF EXISTS discarded ON concurrency_slots;
CREATE POLICY discarded ON concurrency_slots FOR DELETE TO dagster_run
    USING (deleted AND (run_id IS NULL OR control.owns(run_id)));
DROP POLICY IF EXISTS readable ON pending_steps;
CREATE POLICY readable ON pending_steps FOR SELECT TO dagster_run USING (true);
DROP POLICY IF EXISTS own ON pending_steps;
CREATE POLICY own ON pending_steps FOR INSERT TO dagster_run WITH CHECK (control.owns(run_id));
DROP POLICY IF EXISTS handed_on ON pending_steps;
CREATE POLICY handed_on ON pending_steps FOR UPDATE TO dagster_run USING (true);
DROP POLICY IF EXISTS own_removal ON pending_steps;
CREATE POLICY own_removal ON pending_steps FOR DELETE TO dagster_run USING (control.owns(run_id));

DROP POLICY IF EXISTS own ON bulk_actions;
CREATE POLICY own ON bulk_actions FOR SELECT TO dagster_run USING (control.takes_part_in(key));
DROP POLICY IF EXISTS own ON backfill_tags;
CREATE POLICY own ON backfill_tags FOR SELECT TO dagster_run
    USING (control.takes_part_in(backfill_id));

-- The versions of components that keep state: whoever loads definitions with an instance reads
-- them. Cursors are in this table, too.
DROP POLICY IF EXISTS state_versions ON kvs;
CREATE POLICY state_versions ON kvs FOR SELECT TO dagster_run
    USING (key = '__latest_defs_state_info__');
