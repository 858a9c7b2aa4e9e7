-- What a run or a code server may do with Dagster's own tables. Every location's role is a
-- member of dagster_run. A run reports events and moves its own state, so it must write to the
-- tables below; Dagster's storage has no rows that belong to one location, so the rights are
-- per table and not per row. Schedules, sensors, ticks, backfills, daemon heartbeats and the
-- schema itself stay out of a run's reach, and a run cannot create or delete runs.
GRANT USAGE ON SCHEMA public TO dagster_run;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO dagster_run;
ALTER DEFAULT PRIVILEGES FOR ROLE dagster IN SCHEMA public GRANT SELECT ON TABLES TO dagster_run;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO dagster_run;
ALTER DEFAULT PRIVILEGES FOR ROLE dagster IN SCHEMA public GRANT USAGE ON SEQUENCES TO dagster_run;

-- State and tags of the run itself.
GRANT UPDATE ON runs TO dagster_run;
GRANT INSERT, UPDATE, DELETE ON run_tags TO dagster_run;

-- Events, and what is indexed from them.
GRANT INSERT ON event_logs, asset_event_tags TO dagster_run;
GRANT INSERT, UPDATE ON asset_keys, asset_check_executions TO dagster_run;
GRANT INSERT, DELETE ON dynamic_partitions TO dagster_run;

-- Pool slots are claimed and freed by the steps themselves.
GRANT INSERT, UPDATE ON concurrency_limits TO dagster_run;
GRANT INSERT, UPDATE, DELETE ON concurrency_slots, pending_steps TO dagster_run;
