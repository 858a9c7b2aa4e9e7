-- What a location's role may write as events, and what is derived from them. A row that repeats
-- an event (an asset's last materialization, a check's evaluation) is filled from the stored event
-- and not from what the writer gives, so it cannot say anything else.

-- A log message that is too large is replaced by this, so that the run goes on and says so.
CREATE OR REPLACE FUNCTION control.instead_of_message(
    run text, step text, job text, size bigint, at timestamp
) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT json_build_object(
        '__class__', 'EventLogEntry', 'dagster_event', NULL, 'error_info', NULL, 'level', 40,
        'message', '', 'pipeline_name', job, 'run_id', run, 'step_key', step,
        'timestamp', extract(epoch FROM at),
        'user_message', format('A log message of %s bytes was left out: the limit is %s bytes. '
            'Fix: write large output to a file or table and log its name.', size, 2097152)
    )::text
$$;

CREATE OR REPLACE FUNCTION control.bound_event(run text, kind text, size bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    fix text := 'put less into metadata and messages; keep large values in a file or a table, '
        'and log its name.';
    large bigint;
BEGIN
    IF size > 2097152 THEN
        PERFORM control.refuse_size(
            format('run %s: event %s', run, coalesce(left(kind, 100), 'log message')),
            size, 2097152, fix);
    END IF;
    -- The web server loads a thousand events at once.
    SELECT size + coalesce(sum(octet_length(event)), 0) INTO large
    FROM public.event_logs WHERE run_id = run AND octet_length(event) > 65536;
    IF large > 67108864 THEN
        PERFORM control.refuse_size(
            format('run %s: its events of more than 65536 bytes', run), large, 67108864, fix);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION control.guard_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    size integer := octet_length(NEW.event);
BEGIN
    -- Events without a run tell of assets: an observation by a sensor, for one.
    IF NEW.run_id = '' AND NEW.dagster_event_type IN (
        'ASSET_MATERIALIZATION', 'ASSET_OBSERVATION', 'ASSET_CHECK_EVALUATION') THEN
        NULL;
    ELSIF NOT EXISTS (
        SELECT FROM control.run_owner WHERE run_id = NEW.run_id AND location = session_user
    ) THEN
        RAISE EXCEPTION 'run % does not belong to code location %: no event was written',
            left(NEW.run_id, 100), session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF size > 65536 THEN
        IF size > 2097152 AND NEW.dagster_event_type IS NULL THEN
            NEW.event := control.instead_of_message(NEW.run_id, NEW.step_key, (
                SELECT pipeline_name FROM public.runs WHERE run_id = NEW.run_id
            ), size, NEW.timestamp);
            RETURN NEW;
        END IF;
        PERFORM control.bound_event(NEW.run_id, NEW.dagster_event_type, size);
    END IF;
    IF control.is_event(NEW.event, NEW.run_id, NEW.dagster_event_type) IS NOT TRUE THEN
        RAISE EXCEPTION 'run %: event % is not a serialized Dagster event of this run and type',
            NEW.run_id, left(NEW.dagster_event_type, 100)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NEW.asset_key IS NOT NULL THEN
        PERFORM control.bound_asset(NEW.asset_key, coalesce(NEW.partition, ''));
    END IF;
    RETURN NEW;
END $$;

-- One malformed event would hide all others of its run, and of its asset from other locations.
-- What Python writes and Postgres refuses is replaced: the byte 0, halves of surrogate pairs, and
-- numbers that are none.
CREATE OR REPLACE FUNCTION control.is_event(event text, run text, kind text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    serialized text := replace(replace(replace(replace(event,
        '\u0000', ''), '\ud', '\ue'), 'NaN', '0'), 'Infinity', '0');
    entry jsonb;
BEGIN
    -- Not by an exception: a block that catches one costs more than reading the text twice.
    IF serialized IS JSON OBJECT THEN
        entry := serialized;
        RETURN entry ->> '__class__' IN ('EventLogEntry', 'EventRecord', 'DagsterEventRecord')
            AND entry ->> 'run_id' = run
            AND entry #>> '{dagster_event,event_type_value}' IS NOT DISTINCT FROM kind;
    END IF;
    RETURN false;
END $$;

-- Refuses an asset key that Dagster could not read, or that is too long for an index.
CREATE OR REPLACE FUNCTION control.bound_asset(asset text, more text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
    is_key boolean;
BEGIN
    IF octet_length(asset) + octet_length(more) > 2400 THEN
        PERFORM control.refuse_size(
            format('asset key %s with its partition or tag', left(asset, 100)),
            octet_length(asset) + octet_length(more), 2400, 'use shorter names.');
    END IF;
    BEGIN
        SELECT json_typeof(asset::json) = 'array' AND json_array_length(asset::json) > 0
            AND bool_and(json_typeof(part) = 'string') INTO is_key
        FROM json_array_elements(asset::json) AS part;
    EXCEPTION WHEN data_exception THEN
        is_key := false;
    END;
    IF is_key IS NOT TRUE THEN
        RAISE EXCEPTION 'asset key % is not a JSON list of strings', left(asset, 100)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION control.guard_asset() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    now_utc timestamp := clock_timestamp() AT TIME ZONE 'UTC';
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM control.bound_asset(NEW.asset_key, '');
        NEW.cached_status_data := NULL;
    ELSE
        -- A cache, which the control plane fills for itself.
        NEW.cached_status_data := OLD.cached_status_data;
        NEW.last_materialization_timestamp := greatest(
            OLD.last_materialization_timestamp, least(NEW.last_materialization_timestamp, now_utc));
    END IF;
    NEW.last_materialization_timestamp := least(NEW.last_materialization_timestamp, now_utc);
    IF TG_OP = 'INSERT' OR NEW.last_materialization IS DISTINCT FROM OLD.last_materialization THEN
        SELECT format('{"__class__": "EventLogRecord", "event_log_entry": %s, "storage_id": %s}',
            event, id), run_id INTO NEW.last_materialization, NEW.last_run_id
        FROM public.event_logs
        WHERE asset_key = NEW.asset_key AND dagster_event_type = 'ASSET_MATERIALIZATION'
        ORDER BY id DESC LIMIT 1;
    ELSIF NEW.last_run_id <> '' AND NOT control.owns(NEW.last_run_id) THEN
        NEW.last_run_id := OLD.last_run_id;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION control.guard_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    SELECT event INTO NEW.evaluation_event FROM public.event_logs
    WHERE id = NEW.evaluation_event_storage_id AND run_id = NEW.run_id
        AND dagster_event_type IN ('ASSET_CHECK_EVALUATION', 'ASSET_CHECK_EVALUATION_PLANNED')
        AND (NEW.run_id = '' OR control.owns(NEW.run_id));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run %: no event of this run evaluates check %',
            left(NEW.run_id, 100), left(NEW.check_name, 100)
            USING ERRCODE = 'insufficient_privilege';
    ELSIF NEW.execution_status IS NULL
        OR NEW.execution_status NOT IN ('PLANNED', 'SUCCEEDED', 'FAILED') THEN
        RAISE EXCEPTION 'run %: % is not a status of a check', NEW.run_id,
            left(NEW.execution_status, 100) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM control.bound_asset(
        NEW.asset_key, concat(NEW.check_name, NEW.partition));
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION control.guard_asset_tag() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM control.bound_asset(NEW.asset_key, concat(NEW.key, NEW.value));
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER guard_event BEFORE INSERT OR UPDATE ON event_logs
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_event();
CREATE OR REPLACE TRIGGER guard_asset BEFORE INSERT OR UPDATE ON asset_keys
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_asset();
CREATE OR REPLACE TRIGGER guard_check BEFORE INSERT OR UPDATE ON asset_check_executions
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_check();
CREATE OR REPLACE TRIGGER guard_asset_tag BEFORE INSERT OR UPDATE ON asset_event_tags
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_asset_tag();

-- A run ends once: of several processes that end it, the first does. The others are refused by
-- this index, whose name control_plane/one_end.py and the run worker know. A run that ended before
-- there was the index may have ended twice, and keeps what its log says.
DO $$
BEGIN
    IF to_regclass('public.one_end_per_run') IS NULL THEN
        EXECUTE format(
            'CREATE UNIQUE INDEX one_end_per_run ON public.event_logs (run_id) WHERE id > %s AND '
            'dagster_event_type IN (''PIPELINE_SUCCESS'', ''PIPELINE_FAILURE'', ''PIPELINE_CANCELED'')',
            (SELECT coalesce(max(id), 0) FROM public.event_logs));
    END IF;
END $$;
