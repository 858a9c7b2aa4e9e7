-- What the alerts service (deploy/alerts) reads of Dagster's, and what it keeps. Its role reads views and
-- functions, which act with their owner's rights, and no table of Dagster's.
CREATE SCHEMA IF NOT EXISTS alerts;
REVOKE ALL ON SCHEMA alerts FROM PUBLIC;

-- Since when failed runs are told of.
CREATE TABLE IF NOT EXISTS alerts.service (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    began_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS alerts.incident (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Condition and what it is about; at most one of a key is open.
    key text NOT NULL,
    name text NOT NULL,
    -- Empty: the stack's.
    location text NOT NULL,
    job text NOT NULL,
    severity text NOT NULL,
    title text NOT NULL,
    cause text NOT NULL,
    fix text NOT NULL,
    link text NOT NULL,
    count integer NOT NULL DEFAULT 1,
    opened_at timestamptz NOT NULL,
    -- When the condition last held; of failed runs, when the last one ended.
    seen_at timestamptz NOT NULL,
    closed_at timestamptz,
    -- When people were told, in a message of the same transaction.
    announced_at timestamptz,
    reminded_at timestamptz,
    end_told_at timestamptz,
    UNIQUE (key, opened_at)
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open ON alerts.incident (key) WHERE closed_at IS NULL;

CREATE TABLE IF NOT EXISTS alerts.told_run (
    run_id text PRIMARY KEY,
    told_at timestamptz NOT NULL DEFAULT now()
);

-- The outbox: a row for each channel of a message.
CREATE TABLE IF NOT EXISTS alerts.message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    location text NOT NULL,
    channel text NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    -- Set before the provider is called, and taken back when that failed.
    claimed_at timestamptz,
    sent_at timestamptz
);
CREATE INDEX IF NOT EXISTS unsent ON alerts.message (location, channel, id) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS by_time ON alerts.message (created_at);

CREATE TABLE IF NOT EXISTS alerts.channel (
    location text NOT NULL,
    name text NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    due_at timestamptz NOT NULL DEFAULT now(),
    error text NOT NULL DEFAULT '',
    PRIMARY KEY (location, name)
);

-- Runs that failed and are not tried again. Whether they are is decided a moment after.
CREATE OR REPLACE VIEW alerts.failed_run AS
SELECT run.run_id, coalesce(owner.location, '') AS location, run.pipeline_name AS job, run.ended_s
FROM (
    SELECT *, coalesce(end_time, extract(epoch FROM update_timestamp))::float AS ended_s,
        (SELECT value FROM public.run_tags AS tag WHERE tag.run_id = runs.run_id
         AND key = 'dagster/will_retry' LIMIT 1) AS will_retry
    FROM public.runs AS runs WHERE status = 'FAILURE'
        AND update_timestamp > (now() AT TIME ZONE 'UTC') - interval '7 days'
        AND NOT EXISTS (SELECT FROM alerts.told_run AS told WHERE told.run_id = runs.run_id)
) AS run
LEFT JOIN control.run_owner AS owner USING (run_id)
WHERE run.will_retry = 'false' OR (run.will_retry IS NULL
    AND run.update_timestamp < (now() AT TIME ZONE 'UTC') - interval '30 s')
ORDER BY run.ended_s LIMIT 1000;

-- Runs at work, and what their job used to take: the median of its last 20 successes. Runs of assets
-- that people select share one job, and say nothing of each other.
CREATE OR REPLACE VIEW alerts.running_run AS
SELECT run.run_id, coalesce(owner.location, '') AS location, run.pipeline_name AS job,
    extract(epoch FROM now())::float - run.start_time AS age_s, usual.successes, usual.median_s
FROM public.runs AS run LEFT JOIN control.run_owner AS owner USING (run_id),
LATERAL (
    SELECT count(*) AS successes, percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) AS median_s
    FROM (
        SELECT past.end_time - past.start_time AS took_s FROM public.runs AS past
        LEFT JOIN control.run_owner AS same USING (run_id)
        WHERE past.pipeline_name = run.pipeline_name AND past.status = 'SUCCESS'
            AND same.location IS NOT DISTINCT FROM owner.location
        ORDER BY past.id DESC LIMIT 20
    ) AS past
) AS usual
WHERE run.status = 'STARTED' AND run.start_time IS NOT NULL
    AND run.pipeline_name NOT LIKE '\_\_ASSET\_JOB%';

CREATE OR REPLACE VIEW alerts.asset_location AS
SELECT asset.asset_key AS asset, owner.location
FROM public.asset_keys AS asset JOIN control.run_owner AS owner ON owner.run_id = asset.last_run_id
WHERE owner.location IS NOT NULL;

CREATE OR REPLACE FUNCTION alerts.has_succeeded(of_location text, of_job text, since timestamptz)
RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT EXISTS (
        SELECT FROM public.runs AS run LEFT JOIN control.run_owner AS owner USING (run_id)
        WHERE run.pipeline_name = of_job AND run.status = 'SUCCESS'
            AND run.end_time > extract(epoch FROM since)
            AND coalesce(owner.location, '') = of_location
    )
$$;

-- What an event says of a failure: its message, and the innermost error's.
CREATE OR REPLACE FUNCTION alerts.words(event text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
    body json := control.readable(event) -> 'dagster_event';
    error json := body #> '{event_specific_data,error}';
BEGIN
    WHILE json_typeof(error -> 'cause') = 'object' LOOP
        error := error -> 'cause';
    END LOOP;
    RETURN left(concat_ws(E'\n', body ->> 'message', error ->> 'message'), 8000);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- The first three failed steps, and what the run's own end says: of a container that died, the run
-- launcher's explanation with the last lines of its log.
CREATE OR REPLACE FUNCTION alerts.cause(of_run text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT coalesce(string_agg(alerts.words(event), E'\n' ORDER BY id), '') FROM (
        (SELECT id, event FROM public.event_logs WHERE run_id = of_run
         AND dagster_event_type = 'STEP_FAILURE' ORDER BY id LIMIT 3)
        UNION ALL
        (SELECT id, event FROM public.event_logs WHERE run_id = of_run
         AND dagster_event_type = 'PIPELINE_FAILURE' ORDER BY id DESC LIMIT 1)
    ) AS failure
$$;

GRANT USAGE ON SCHEMA alerts TO dagster_alerts;
GRANT SELECT, INSERT, UPDATE, DELETE ON alerts.service, alerts.incident, alerts.told_run,
    alerts.message, alerts.channel TO dagster_alerts;
GRANT SELECT ON alerts.failed_run, alerts.running_run, alerts.asset_location TO dagster_alerts;
REVOKE ALL ON FUNCTION alerts.has_succeeded, alerts.words, alerts.cause FROM PUBLIC;
GRANT EXECUTE ON FUNCTION alerts.has_succeeded, alerts.cause TO dagster_alerts;
