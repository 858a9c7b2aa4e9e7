-- For the removal of old history (control_plane/retention), and for pages that show much of it.

-- Whose step logs and stored values are to go: a location removes its own, because the control plane
-- cannot write where they are. Filled by whatever deletes a run, a person in the UI too.
CREATE TABLE IF NOT EXISTS control.removed_run (
    run_id varchar(255) PRIMARY KEY,
    location text,
    removed_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON control.removed_run TO dagster_run;
ALTER TABLE control.removed_run ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own ON control.removed_run;
CREATE POLICY own ON control.removed_run FOR SELECT TO dagster_run
    USING (location = session_user);

CREATE OR REPLACE FUNCTION control.list_removed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO control.removed_run (run_id, location)
    SELECT run_id, location FROM control.run_owner WHERE run_id = OLD.run_id
    ON CONFLICT DO NOTHING;
    RETURN OLD;
END $$;
-- Before: the owner's row goes with the run's.
CREATE OR REPLACE TRIGGER list_removed BEFORE DELETE ON runs
    FOR EACH ROW EXECUTE FUNCTION control.list_removed();
REVOKE ALL ON FUNCTION control.list_removed FROM PUBLIC;

-- Dagster looks for checks by asset; a removal looks by run.
CREATE INDEX IF NOT EXISTS stack_checks_by_run ON public.asset_check_executions (run_id);

-- By default the space of removed rows is looked for when a fifth of a table is of them.
ALTER TABLE event_logs SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE runs SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE run_tags SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
