-- What a location's role may change of its own runs: the status, in the transitions that a run
-- makes itself, and tags that the control plane does not act on. A trigger takes these two out of
-- what it gets and rebuilds the row from what was there, so nothing else can change:
-- not the id, location, image, code pointer or configuration, and no body that cannot be read.
CREATE OR REPLACE FUNCTION control.is_reserved(tag text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    -- Dagster's own prefixes, those of its other launchers, and the limits of a run's container.
    SELECT tag ~ '^(\.?dagster[-/]|docker/)'
$$;

-- Tags with such a prefix that a run worker reports when its run fails.
CREATE OR REPLACE FUNCTION control.is_report(tag text, value text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE tag
        WHEN 'dagster/failure_reason' THEN value IN (
            'UNEXPECTED_TERMINATION', 'RUN_EXCEPTION', 'STEP_FAILURE',
            'JOB_INITIALIZATION_FAILURE', 'START_TIMEOUT', 'RUN_WORKER_RESTART', 'UNKNOWN')
        WHEN 'dagster/will_retry' THEN value IN ('true', 'false')
        ELSE false
    END
$$;

CREATE OR REPLACE FUNCTION control.refuse_reserved_tag(run text, tag text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'run %: tag "%" cannot be changed by the run, because the control plane '
        'acts on it. Fix: set it on the job or when the run is launched.', run, left(tag, 100)
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- The tags that a run has after an update: reserved ones as they were, others as given.
CREATE OR REPLACE FUNCTION control.tags_after(run text, former jsonb, given jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
    tag record;
    result jsonb := '{}';
BEGIN
    FOR tag IN SELECT key, value, value #>> '{}' AS text FROM jsonb_each(given) LOOP
        IF jsonb_typeof(tag.value) <> 'string' THEN
            RAISE EXCEPTION 'run %: the value of tag "%" is not a string', run, left(tag.key, 100)
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF octet_length(tag.key) + octet_length(tag.text) > 2600 THEN
            PERFORM control.refuse_tag_size(run, tag.key, tag.text);
        ELSIF NOT control.is_reserved(tag.key) OR control.is_report(tag.key, tag.text) THEN
            result := result || jsonb_build_object(tag.key, tag.value);
        ELSIF former -> tag.key IS DISTINCT FROM tag.value THEN
            PERFORM control.refuse_reserved_tag(run, tag.key);
        END IF;
    END LOOP;
    -- Also those that the writer did not know of yet: it read the run before they were added.
    SELECT result || coalesce(jsonb_object_agg(key, value), '{}') INTO result
    FROM jsonb_each(former) WHERE control.is_reserved(key) AND NOT result ? key;
    RETURN result;
END $$;

CREATE OR REPLACE FUNCTION control.refuse_tag_size(run text, tag text, value text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT control.refuse_size(
        format('run %s: tag "%s" with its value', run, left(tag, 100)),
        octet_length(tag) + octet_length(value), 2600,
        'shorten it; long values belong into the metadata of an event.')
$$;

-- Replaces status and tags of a serialized run; everything else keeps its text.
CREATE OR REPLACE FUNCTION control.rebuilt(former text, status text, tags jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT control.original('{' || string_agg(
        to_json(key) || ': ' || CASE key
            WHEN 'status' THEN format('{"__enum__": "PipelineRunStatus.%s"}', status)
            WHEN 'tags' THEN tags::text
            ELSE value::text
        END, ', ' ORDER BY position) || '}')
    FROM json_each(control.readable(former)) WITH ORDINALITY AS field (key, value, position)
$$;

CREATE OR REPLACE FUNCTION control.may_become(former text, status text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE former
        WHEN 'STARTING' THEN status IN ('STARTED', 'SUCCESS', 'FAILURE', 'CANCELED')
        WHEN 'STARTED' THEN status IN ('SUCCESS', 'FAILURE', 'CANCELED')
        WHEN 'CANCELING' THEN status IN ('SUCCESS', 'FAILURE', 'CANCELED')
        -- A run that waits is the queue's, and one that has ended stays as it ended.
        ELSE false
    END
$$;

CREATE OR REPLACE FUNCTION control.guard_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    now_utc timestamp := clock_timestamp() AT TIME ZONE 'UTC';
    now_s float := extract(epoch FROM clock_timestamp());
    given jsonb;
BEGIN
    PERFORM control.bound_run_body(NEW.run_id, NEW.run_body);
    IF NEW.status = 'STARTED' AND OLD.status = 'CANCELING' THEN
        NEW.status := OLD.status;  -- It was asked to stop while it started.
    ELSIF NEW.status IS DISTINCT FROM OLD.status
        AND control.may_become(OLD.status, NEW.status) IS NOT TRUE THEN
        RAISE EXCEPTION 'run % is %: its code location cannot make it %',
            OLD.run_id, OLD.status, NEW.status USING ERRCODE = 'insufficient_privilege';
    END IF;
    BEGIN
        given := (control.readable(NEW.run_body) -> 'tags')::jsonb;
    EXCEPTION WHEN invalid_text_representation OR untranslatable_character THEN
        NULL;  -- Not even JSON: said below.
    END;
    IF jsonb_typeof(given) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'run %: its serialized form is not a JSON object with tags', OLD.run_id
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    NEW.run_body := control.rebuilt(OLD.run_body, NEW.status, control.tags_after(
        OLD.run_id, (control.readable(OLD.run_body) -> 'tags')::jsonb, given
    ));
    NEW.partition := OLD.partition;
    NEW.partition_set := OLD.partition_set;
    -- Times in the future would outwit timeouts, times that are not numbers would break the UI.
    NEW.update_timestamp := greatest(OLD.create_timestamp, least(NEW.update_timestamp, now_utc));
    NEW.start_time := coalesce(OLD.start_time, control.within(NEW.start_time, now_s));
    NEW.end_time := coalesce(OLD.end_time, control.within(NEW.end_time, now_s));
    RETURN NEW;
END $$;

-- A time in seconds since 1970 that is neither before it nor after now; null stays null.
CREATE OR REPLACE FUNCTION control.within(seconds float, now_s float) RETURNS float
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN seconds IS NOT NULL THEN greatest(0, least(seconds, now_s)) END
$$;

CREATE OR REPLACE FUNCTION control.bound_run_body(run text, body text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    IF octet_length(body) > 4194304 THEN
        PERFORM control.refuse_size(
            format('run %s: the run with its configuration', run), octet_length(body), 4194304,
            'pass large values by a file or a table, and name that in the run configuration.');
    END IF;
END $$;

-- Holds for the control plane too: a sensor or a person of one location asks it for the run.
CREATE OR REPLACE FUNCTION control.bound_run() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM control.bound_run_body(NEW.run_id, NEW.run_body);
    PERFORM control.refuse_tag_size(NEW.run_id, key, value)
    FROM json_each_text(control.readable(NEW.run_body) -> 'tags')
    WHERE octet_length(key) + octet_length(value) > 2600;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION control.guard_tag() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT control.is_reserved(NEW.key) OR control.is_report(NEW.key, NEW.value)
        OR (TG_OP = 'UPDATE' AND OLD.value = NEW.value) THEN
        RETURN NEW;
    END IF;
    PERFORM control.refuse_reserved_tag(NEW.run_id, NEW.key);
END $$;

CREATE OR REPLACE FUNCTION control.bound_tag() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM control.refuse_tag_size(NEW.run_id, NEW.key, NEW.value);
END $$;

-- Holds for the control plane too: it may have read the run before that ended.
CREATE OR REPLACE FUNCTION control.keep_end() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RETURN OLD;
END $$;

-- The daemon listens (queue_signal.py), so that a run need not wait until it looks again.
CREATE OR REPLACE FUNCTION control.tell_queue() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NOTIFY queued_runs;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tell_queue AFTER INSERT OR UPDATE OF status ON runs
    FOR EACH ROW WHEN (NEW.status = 'QUEUED') EXECUTE FUNCTION control.tell_queue();
CREATE OR REPLACE TRIGGER bound_run BEFORE INSERT ON runs
    FOR EACH ROW EXECUTE FUNCTION control.bound_run();
CREATE OR REPLACE TRIGGER guard_run BEFORE UPDATE ON runs
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_run();
CREATE OR REPLACE TRIGGER guard_tag BEFORE INSERT OR UPDATE ON run_tags
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_tag();
CREATE OR REPLACE TRIGGER keep_end BEFORE UPDATE ON runs
    FOR EACH ROW WHEN (OLD.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
        AND NEW.status <> OLD.status AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.keep_end();
-- The index on tags takes no more.
CREATE OR REPLACE TRIGGER bound_tag BEFORE INSERT OR UPDATE ON run_tags
    FOR EACH ROW WHEN (octet_length(NEW.key) + octet_length(NEW.value) > 2600)
    EXECUTE FUNCTION control.bound_tag();
