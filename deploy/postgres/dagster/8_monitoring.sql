-- What the metrics exporter reads (deploy/monitoring/exporter): views of names, states and times. Its
-- role has no right on Dagster's tables, so configurations, tags, messages and metadata, where people
-- put what they should not, are not within its reach. Views act with their owner's rights, and the
-- owner of the tables is not subject to row security.
CREATE SCHEMA IF NOT EXISTS monitoring;
REVOKE ALL ON SCHEMA monitoring FROM PUBLIC;

CREATE OR REPLACE VIEW monitoring.active_runs AS
SELECT owner.location, runs.pipeline_name AS job, runs.status,
    extract(epoch FROM runs.create_timestamp)::float AS created_s,
    -- A queued run is not updated while it waits.
    extract(epoch FROM runs.update_timestamp)::float AS changed_s, runs.start_time AS started_s
FROM public.runs LEFT JOIN control.run_owner AS owner USING (run_id)
WHERE runs.status IN ('QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING');

-- One row for each final event, with the run's way up to there: the exporter asks for a range of ids.
-- Re-created, because a view that is replaced keeps all its columns.
DROP VIEW IF EXISTS monitoring.ended_runs;
CREATE VIEW monitoring.ended_runs AS
SELECT ends.id, ends.run_id, owner.location, runs.pipeline_name AS job,
    CASE ends.dagster_event_type WHEN 'PIPELINE_SUCCESS' THEN 'SUCCESS'
        WHEN 'PIPELINE_FAILURE' THEN 'FAILURE' ELSE 'CANCELED' END AS status,
    runs.start_time AS started_s, runs.end_time AS ended_s, way.*
FROM public.event_logs AS ends
JOIN public.runs USING (run_id)
LEFT JOIN control.run_owner AS owner USING (run_id),
LATERAL (
    SELECT min(at) FILTER (WHERE kind = 'PIPELINE_ENQUEUED') AS enqueued_s,
        -- When it is taken from the queue; Dagster 1.13.27 writes no PIPELINE_DEQUEUED.
        min(at) FILTER (WHERE kind = 'PIPELINE_STARTING') AS starting_s,
        min(at) FILTER (WHERE kind = 'PIPELINE_START') AS start_s,
        min(at) FILTER (WHERE kind = 'STEP_START') AS first_step_s,
        coalesce(bool_or(standby), false) AS standby,
        -- The last one, if it was launched more than once.
        (array_agg(container ORDER BY at DESC) FILTER (WHERE container IS NOT NULL))[1]
            AS container,
        max(at) FILTER (WHERE container IS NOT NULL) AS container_s
    FROM (
        SELECT dagster_event_type AS kind, extract(epoch FROM timestamp)::float AS at,
            -- What the run launcher says (compose_run_launcher/launching.py).
            CASE WHEN dagster_event_type = 'ENGINE_EVENT'
                THEN event LIKE '%Handing the run to standby worker%' END AS standby,
            CASE WHEN dagster_event_type = 'ENGINE_EVENT' THEN substring(event FROM
                '(?:Starting the run in container|Handing the run to standby worker) ([0-9a-f]{12})')
                END AS container
        FROM public.event_logs AS event WHERE event.run_id = ends.run_id
            AND dagster_event_type IN ('PIPELINE_ENQUEUED', 'PIPELINE_STARTING',
                'PIPELINE_START', 'STEP_START', 'ENGINE_EVENT')
    ) AS event
) AS way
WHERE ends.dagster_event_type IN ('PIPELINE_SUCCESS', 'PIPELINE_FAILURE', 'PIPELINE_CANCELED');

-- Attempts of a run's steps: the exporter asks by run.
CREATE OR REPLACE VIEW monitoring.step_events AS
SELECT id, run_id, step_key AS step, dagster_event_type AS kind,
    extract(epoch FROM timestamp)::float AS at_s
FROM public.event_logs WHERE dagster_event_type IN
    ('STEP_START', 'STEP_RESTARTED', 'STEP_SUCCESS', 'STEP_FAILURE', 'STEP_UP_FOR_RETRY');

CREATE OR REPLACE VIEW monitoring.instigators AS
SELECT selector_id, instigator_type AS type, status,
    body #>> '{origin,job_name}' AS name,
    body #>> '{origin,external_repository_origin,repository_location_origin,location_name}'
        AS location
FROM (
    SELECT *, CASE WHEN instigator_body IS JSON THEN instigator_body::json END AS body
    FROM public.instigators
) AS instigator;

-- Of a schedule, `due_s` is when the tick was due; `made_s` is when the daemon came to it. An index
-- of Dagster's finds the last one of a schedule by `due_at`.
CREATE OR REPLACE VIEW monitoring.ticks AS
SELECT ticks.id, ticks.selector_id, ticks.type, ticks.status,
    extract(epoch FROM ticks.timestamp)::float AS due_s,
    extract(epoch FROM ticks.create_timestamp)::float AS made_s, ticks.timestamp AS due_at
FROM public.job_ticks AS ticks;

CREATE OR REPLACE VIEW monitoring.heartbeats AS
SELECT daemon_type AS daemon, extract(epoch FROM timestamp)::float AS at_s,
    CASE WHEN body IS JSON OBJECT AND body::json ->> 'errors' IS NOT NULL
        THEN json_array_length(body::json -> 'errors') ELSE 0 END AS errors
FROM public.daemon_heartbeats;

CREATE OR REPLACE VIEW monitoring.pools AS
SELECT concurrency_key AS pool, "limit" AS slots,
    (SELECT count(*) FROM public.concurrency_slots AS slot
     WHERE slot.concurrency_key = pool.concurrency_key AND slot.run_id IS NOT NULL
         AND NOT slot.deleted) AS used,
    (SELECT count(*) FROM public.pending_steps AS step
     WHERE step.concurrency_key = pool.concurrency_key
         AND step.assigned_timestamp IS NULL) AS waiting
FROM public.concurrency_limits AS pool;

CREATE OR REPLACE VIEW monitoring.assets AS
SELECT asset_key AS asset, extract(epoch FROM last_materialization_timestamp)::float AS at_s
FROM public.asset_keys WHERE last_materialization IS NOT NULL;

-- The last evaluation of each check; of a partitioned one, of any partition.
CREATE OR REPLACE VIEW monitoring.checks AS
SELECT DISTINCT ON (asset_key, check_name) asset_key AS asset, check_name AS "check",
    execution_status AS status
FROM public.asset_check_executions
WHERE execution_status <> 'PLANNED' ORDER BY asset_key, check_name, id DESC;

CREATE OR REPLACE VIEW monitoring.freshness AS
SELECT DISTINCT ON (asset_key) asset_key AS asset,
    -- `{"__enum__": "FreshnessState.FAIL"}`, or the bare value.
    substring(event FROM '"new_state": *(?:[{]"__enum__": *"FreshnessState[.]|")([A-Z_]+)') AS state
FROM public.event_logs
WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE' ORDER BY asset_key, id DESC;

CREATE OR REPLACE VIEW monitoring.last_ids AS
SELECT (SELECT coalesce(max(id), 0) FROM public.event_logs) AS event,
    (SELECT coalesce(max(id), 0) FROM public.job_ticks) AS tick;

GRANT USAGE ON SCHEMA monitoring TO dagster_monitoring;
GRANT SELECT ON ALL TABLES IN SCHEMA monitoring TO dagster_monitoring;
