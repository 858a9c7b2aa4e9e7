"""Which runs go: a temporary table of them, and the conditions under which a run is needed.

Nothing here changes the database. Times in Dagster's tables are UTC without a zone.
"""

from __future__ import annotations

import json
from typing import Any

from control_plane.retention.rules import LEAST_DAYS, Rules

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
# Of a backfill (dagster._core.execution.backfill, BULK_ACTION_TERMINAL_STATUSES).
BACKFILL_ENDED = ("COMPLETED", "FAILED", "CANCELED", "COMPLETED_SUCCESS", "COMPLETED_FAILED")
PLANNED = "ASSET_MATERIALIZATION_PLANNED"
# When a step that made an asset began and ended is shown with the asset.
STEP_TIMES = ("STEP_START", "STEP_SUCCESS", "STEP_FAILURE", "STEP_RESTARTED", "STEP_UP_FOR_RETRY")

# Old enough, or beyond the number. `keyed`: started by a sensor with a run key. The sensor would
# start it again if its row went, so only its log goes.
_OLD = """
CREATE TEMPORARY TABLE going AS
WITH known AS (
    SELECT runs.id, runs.run_id, owner.location, runs.pipeline_name AS job, runs.status,
        coalesce(to_timestamp(runs.end_time) AT TIME ZONE 'UTC', runs.update_timestamp) AS ended,
        row_number() OVER (
            PARTITION BY owner.location, runs.pipeline_name ORDER BY runs.id DESC) AS place
    FROM runs LEFT JOIN control.run_owner AS owner ON owner.run_id = runs.run_id
), tagged AS (
    SELECT run_id, max(value) FILTER (WHERE key = 'retention/days') AS days,
        max(value) FILTER (WHERE key = 'retention/runs') AS runs,
        bool_or(key = 'dagster/run_key') AND bool_or(key = 'dagster/sensor_name') AS keyed
    FROM run_tags WHERE key IN (
        'retention/days', 'retention/runs', 'dagster/run_key', 'dagster/sensor_name')
        AND (key NOT LIKE 'retention/%%' OR value ~ '^[0-9]{1,5}$')
    GROUP BY run_id
), ruled AS (
    SELECT known.*, coalesce(tagged.keyed, false) AS keyed,
        coalesce(tagged.days::integer,
            (%(locations)s::jsonb -> location ->> 'days')::integer, %(days)s) AS days,
        coalesce(tagged.runs::integer,
            (%(locations)s::jsonb -> location ->> 'runs')::integer, %(runs)s) AS runs
    FROM known LEFT JOIN tagged USING (run_id)
)
SELECT id, run_id, coalesce(location, '') AS location, job, keyed FROM ruled
WHERE status = ANY (%(ended)s) AND place > %(last)s
    AND ended < now() AT TIME ZONE 'UTC' - make_interval(days => %(least)s)
    AND (days > 0 AND ended < now() AT TIME ZONE 'UTC' - make_interval(days => days)
        OR runs > 0 AND place > runs)
"""

# What a page of an asset, a queue or a person still needs. The first: the run has the latest event
# of its type for an asset, or for a partition of it.
_NEEDED = {
    "shown with an asset": """
EXISTS (
    SELECT FROM event_logs AS own WHERE own.run_id = going.run_id AND own.asset_key IS NOT NULL
    AND CASE WHEN own.partition IS NULL THEN NOT EXISTS (
        SELECT FROM event_logs AS later WHERE later.asset_key = own.asset_key
        AND later.dagster_event_type = own.dagster_event_type
        AND later.partition IS NULL AND later.id > own.id
    ) ELSE NOT EXISTS (
        SELECT FROM event_logs AS later WHERE later.asset_key = own.asset_key
        AND later.dagster_event_type = own.dagster_event_type
        AND later.partition = own.partition AND later.id > own.id
    ) END
) OR EXISTS (SELECT FROM asset_keys WHERE asset_keys.last_run_id = going.run_id)""",
    "shown with a check": """
EXISTS (
    SELECT FROM asset_check_executions AS own WHERE own.run_id = going.run_id AND (NOT EXISTS (
        SELECT FROM asset_check_executions AS later
        WHERE later.asset_key = own.asset_key AND later.check_name = own.check_name
        AND later.partition IS NOT DISTINCT FROM own.partition AND later.id > own.id
    ) OR own.execution_status <> 'PLANNED' AND NOT EXISTS (
        SELECT FROM asset_check_executions AS later
        WHERE later.asset_key = own.asset_key AND later.check_name = own.check_name
        AND later.partition IS NOT DISTINCT FROM own.partition
        AND later.execution_status <> 'PLANNED' AND later.id > own.id
    ))
)""",
    "part of a backfill that has not ended": """
EXISTS (
    SELECT FROM runs AS own JOIN bulk_actions ON bulk_actions.key = own.backfill_id
    WHERE own.id = going.id AND bulk_actions.status <> ALL (%(backfill_ended)s)
)""",
    "holding a slot of a pool": """
EXISTS (SELECT FROM concurrency_slots AS slot WHERE slot.run_id = going.run_id)
OR EXISTS (SELECT FROM pending_steps AS step WHERE step.run_id = going.run_id)""",
}
NEEDED = " OR ".join(_NEEDED.values())
# A re-execution names its first run and its parent; its page fails without them.
FOLLOWED = """
EXISTS (
    SELECT FROM run_tags AS names JOIN runs AS follower ON follower.run_id = names.run_id
    WHERE names.key IN ('dagster/parent_run_id', 'dagster/root_run_id')
    AND names.value = going.run_id AND names.run_id <> going.run_id
)"""
# Its log has been removed already.
_EMPTIED = """
going.keyed AND NOT EXISTS (
    SELECT FROM event_logs AS own WHERE own.run_id = going.run_id
    AND (own.dagster_event_type IS NULL OR own.asset_key IS NULL
        AND own.dagster_event_type <> ALL (%(step_times)s))
)"""
_OLD_FAMILY = """
DELETE FROM going WHERE EXISTS (
    SELECT FROM run_tags AS names JOIN runs AS follower ON follower.run_id = names.run_id
    LEFT JOIN going AS other ON other.id = follower.id
    WHERE names.key IN ('dagster/parent_run_id', 'dagster/root_run_id')
    AND names.value = going.run_id AND names.run_id <> going.run_id
    AND (other.id IS NULL OR other.keyed)
)"""
PARAMETERS = {
    "ended": list(ENDED),
    "backfill_ended": list(BACKFILL_ENDED),
    "step_times": list(STEP_TIMES),
    "planned": PLANNED,
}

# The events of a run that is removed which go: all but those of assets, which are its history, and
# the times of steps that made one. Whoever names a batch of runs names it in `batch`. Materialized:
# for a run with more events than the statistics know of, Postgres would list these steps again for
# each event.
GOING_EVENTS = """
    WITH made AS MATERIALIZED (
        SELECT DISTINCT run_id, step_key FROM event_logs
        WHERE run_id = ANY (%(batch)s) AND asset_key IS NOT NULL
        AND dagster_event_type <> %(planned)s AND step_key IS NOT NULL
    )
    SELECT event_logs.id FROM event_logs
    LEFT JOIN made ON made.run_id = event_logs.run_id AND made.step_key = event_logs.step_key
        AND event_logs.dagster_event_type = ANY (%(step_times)s)
    WHERE event_logs.run_id = ANY (%(batch)s) AND made.run_id IS NULL
        AND (event_logs.asset_key IS NULL OR event_logs.dagster_event_type = %(planned)s)
"""


def select(cursor: Any, rules: Rules) -> None:
    """Fill the temporary table ``going`` with the runs that go."""
    cursor.execute(
        _OLD,
        PARAMETERS
        | {
            "days": rules.days,
            "runs": rules.runs,
            "last": rules.last,
            "least": LEAST_DAYS,
            "locations": json.dumps(rules.locations),
        },
    )
    cursor.execute("CREATE UNIQUE INDEX ON going (id)")
    cursor.execute("CREATE INDEX ON going (run_id)")
    cursor.execute("ANALYZE going")
    cursor.execute(f"DELETE FROM going WHERE {_EMPTIED}", PARAMETERS)  # constants
    cursor.execute(f"DELETE FROM going WHERE {NEEDED}", PARAMETERS)  # constants
    # One that stays keeps its parent, which keeps its own.
    while True:
        cursor.execute(_OLD_FAMILY)
        if cursor.rowcount == 0:
            return
