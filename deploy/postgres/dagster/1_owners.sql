-- Which run belongs to which code location. The control plane creates every run, so a trigger on
-- its insert fills this table; a location's role has no way to write to it.
-- Identity is session_user, the role that logged in: SET ROLE changes it as little as a
-- function that runs with its owner's rights does.
CREATE SCHEMA IF NOT EXISTS control;
REVOKE ALL ON SCHEMA control FROM PUBLIC;

CREATE TABLE IF NOT EXISTS control.run_owner (
    run_id varchar(255) PRIMARY KEY REFERENCES public.runs (run_id) ON DELETE CASCADE,
    -- Null for a run that no code location claims: then no location's role sees it.
    location text
);

-- The default limit of pools, which the daemon writes at its start; 1 until then.
CREATE TABLE IF NOT EXISTS control.pool_default (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    "limit" integer NOT NULL
);
INSERT INTO control.pool_default ("limit") VALUES (1) ON CONFLICT DO NOTHING;

-- JSON for the functions of Postgres, which refuse this one escape that Python writes and reads.
CREATE OR REPLACE FUNCTION control.readable(serialized text) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(serialized, '\u0000', '\ue0f0')::json
$$;

CREATE OR REPLACE FUNCTION control.location_of(run_body text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    RETURN control.readable(run_body) #>> '{external_pipeline_origin,external_repository_origin,'
        'repository_location_origin,location_name}';
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION control.record_owner() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO control.run_owner VALUES (NEW.run_id, control.location_of(NEW.run_body));
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER record_owner AFTER INSERT ON runs
    FOR EACH ROW EXECUTE FUNCTION control.record_owner();

-- Runs from before this table existed.
INSERT INTO control.run_owner
SELECT run_id, control.location_of(run_body) FROM runs
WHERE run_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM control.run_owner AS known WHERE known.run_id = runs.run_id
)
ON CONFLICT DO NOTHING;

-- PL/pgSQL keeps its plans for the session: a third of the cost of the same in SQL.
CREATE OR REPLACE FUNCTION control.owns(run text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM control.run_owner WHERE run_id = run AND location = session_user
    );
END $$;

CREATE OR REPLACE FUNCTION control.owns_event(event_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM public.event_logs AS logs
        WHERE logs.id = event_id AND (logs.run_id = '' OR control.owns(logs.run_id))
    );
END $$;

-- A backfill that has runs of this location.
CREATE OR REPLACE FUNCTION control.takes_part_in(backfill text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM public.runs JOIN control.run_owner USING (run_id)
        WHERE runs.backfill_id = backfill AND location = session_user
    );
END $$;

-- The one text for what is too large. Class 22 reaches Python as a DataError, which nothing
-- takes for a lost connection and tries again.
CREATE OR REPLACE FUNCTION control.refuse_size(what text, size bigint, allowed bigint, fix text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '% is % bytes; the limit is % bytes. Fix: %', what, size, allowed, fix
        USING ERRCODE = 'invalid_parameter_value';
END $$;
