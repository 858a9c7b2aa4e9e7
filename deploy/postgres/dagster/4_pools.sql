-- Pools are shared by name between locations, and steps hand the slots to each other: whoever frees
-- one assigns it to the step that waits, of whatever location. So all see slots and pending
-- steps, and a location's role may do with them what a step does, and no more.
CREATE OR REPLACE FUNCTION control.bound_name(name text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    IF octet_length(name) > 1000 THEN
        PERFORM control.refuse_size(
            format('name %s', left(name, 100)), octet_length(name), 1000, 'use a shorter one.');
    END IF;
END $$;

-- A step makes a pool that has no limit yet, with the default; limits are the control plane's.
CREATE OR REPLACE FUNCTION control.guard_pool() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT NEW.using_default_limit THEN
        -- A step that finds another default than its own configuration has sets it again.
        IF TG_OP = 'UPDATE' THEN RETURN OLD; END IF;
        RAISE EXCEPTION 'the limit of pool % cannot be set by a code location. Fix: set it in the '
            'UI (Deployment, Concurrency) or in deploy/postgres/pools.toml.',
            left(NEW.concurrency_key, 100) USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'INSERT' AND (SELECT count(*) FROM public.concurrency_limits) >= 1000 THEN
        RAISE EXCEPTION 'there are 1000 pools: no further one was made. Fix: remove unused ones '
            'in the UI (Deployment, Concurrency).' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM control.bound_name(NEW.concurrency_key);
    SELECT "limit" INTO NEW."limit" FROM control.pool_default;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION control.guard_slot() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    slots integer;
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Up to the pool's limit; the lock makes two steps that do this count one another.
        SELECT "limit" INTO slots FROM public.concurrency_limits
        WHERE concurrency_key = NEW.concurrency_key FOR UPDATE;
        IF slots > (
            SELECT count(*) FROM public.concurrency_slots AS present
            WHERE present.concurrency_key = NEW.concurrency_key AND NOT present.deleted
        ) THEN
            NEW.deleted := false;
            RETURN NEW;
        END IF;
        RETURN NULL;
    END IF;
    NEW.deleted := OLD.deleted;
    IF NEW.run_id IS NULL AND NEW.step_key IS NULL THEN
        RETURN NEW;
    ELSIF OLD.run_id IS NOT NULL OR OLD.deleted OR NOT EXISTS (
        -- The daemon finds a run that ended with slots by its pending steps.
        SELECT FROM public.pending_steps AS step
        WHERE step.concurrency_key = NEW.concurrency_key AND step.run_id = NEW.run_id
            AND step.step_key = NEW.step_key AND step.assigned_timestamp IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'a slot of pool % can be claimed by a step that waits for it, and no other',
            left(NEW.concurrency_key, 100) USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION control.guard_pending_step() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        -- Not while it holds a slot: see above.
        IF EXISTS (
            SELECT FROM public.concurrency_slots AS slot
            WHERE slot.concurrency_key = OLD.concurrency_key AND slot.run_id = OLD.run_id
                AND slot.step_key = OLD.step_key
        ) THEN RETURN NULL; END IF;
        RETURN OLD;
    ELSIF TG_OP = 'UPDATE' THEN
        -- Assigned once, and not taken back.
        NEW.assigned_timestamp := coalesce(
            OLD.assigned_timestamp, clock_timestamp() AT TIME ZONE 'UTC');
        RETURN NEW;
    END IF;
    PERFORM control.bound_name(concat(NEW.concurrency_key, NEW.step_key));
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION control.guard_partition() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM control.bound_name(concat(NEW.partitions_def_name, NEW.partition));
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER guard_pool BEFORE INSERT OR UPDATE ON concurrency_limits
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_pool();
CREATE OR REPLACE TRIGGER guard_slot BEFORE INSERT OR UPDATE ON concurrency_slots
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_slot();
CREATE OR REPLACE TRIGGER guard_pending_step BEFORE INSERT OR UPDATE OR DELETE ON pending_steps
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_pending_step();
CREATE OR REPLACE TRIGGER guard_partition BEFORE INSERT OR UPDATE ON dynamic_partitions
    FOR EACH ROW WHEN (session_user <> 'dagster' AND current_setting('is_superuser') = 'off')
    EXECUTE FUNCTION control.guard_partition();
