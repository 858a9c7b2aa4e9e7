"""Years of runs: what Dagster has executed once, repeated by SQL with other ids and times."""

from __future__ import annotations

from typing import Any

from dagster import AssetKey, DagsterInstance
from years import years

DAY = "2024-01-01"

# `nth` of the new runs is made from template nth % templates; they are two years together.
_NEW = """
CREATE TEMPORARY TABLE made AS
SELECT nth, template.run_id AS former, md5(nth::text)::uuid::text AS run_id,
    (date '2024-01-01' + (nth / %(templates)s)::integer %% 1000)::text AS day,
    extract(epoch FROM now()) - 3600 - (%(runs)s - nth) * (730.0 * 86400 / %(runs)s) AS at
FROM generate_series(0, %(runs)s - 1) AS nth JOIN template ON template.number = nth %% %(templates)s
"""
_STATEMENTS = (
    """
INSERT INTO runs (run_id, snapshot_id, pipeline_name, status, run_body, partition, partition_set,
    create_timestamp, update_timestamp, start_time, end_time)
SELECT made.run_id, snapshot_id, pipeline_name, status,
    replace(replace(run_body, former, made.run_id), '2024-01-01', day), replace(partition,
    '2024-01-01', day), partition_set, to_timestamp(at) AT TIME ZONE 'UTC',
    to_timestamp(at + 10) AT TIME ZONE 'UTC', at, at + 10
FROM made JOIN runs ON runs.run_id = former ORDER BY nth""",
    """
INSERT INTO run_tags (run_id, key, value)
SELECT made.run_id, key, replace(value, '2024-01-01', day)
FROM made JOIN run_tags ON run_tags.run_id = former ORDER BY nth""",
    """
INSERT INTO event_logs (
    run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
SELECT made.run_id, regexp_replace(replace(replace(event, former, made.run_id), '2024-01-01', day),
        '"timestamp": [0-9.]+', '"timestamp": ' || at),
    dagster_event_type, to_timestamp(at) AT TIME ZONE 'UTC', step_key, asset_key,
    replace(partition, '2024-01-01', day)
FROM made JOIN event_logs ON event_logs.run_id = former ORDER BY nth, event_logs.id""",
    """
INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)
SELECT new.id, new.asset_key, tag.key, replace(tag.value, '2024-01-01', day), new.timestamp
FROM made JOIN event_logs AS old ON old.run_id = former
JOIN asset_event_tags AS tag ON tag.event_id = old.id
JOIN event_logs AS new ON new.run_id = made.run_id
    AND new.dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY nth""",
    """
INSERT INTO asset_check_executions (asset_key, check_name, partition, run_id, execution_status,
    evaluation_event, evaluation_event_timestamp, evaluation_event_storage_id, create_timestamp)
SELECT old.asset_key, old.check_name, old.partition, made.run_id, execution_status,
    replace(evaluation_event, former, made.run_id), to_timestamp(at) AT TIME ZONE 'UTC', new.id,
    to_timestamp(at) AT TIME ZONE 'UTC'
FROM made JOIN asset_check_executions AS old ON old.run_id = former
JOIN event_logs AS new ON new.run_id = made.run_id
    AND new.dagster_event_type = 'ASSET_CHECK_EVALUATION' ORDER BY nth""",
    """
UPDATE asset_keys SET last_run_id = latest.run_id, last_materialization = format(
    '{"__class__": "EventLogRecord", "event_log_entry": %s, "storage_id": %s}', event, latest.id),
    last_materialization_timestamp = latest.timestamp, cached_status_data = NULL
FROM (SELECT DISTINCT ON (asset_key) * FROM event_logs
    WHERE dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY asset_key, id DESC) AS latest
WHERE latest.asset_key = asset_keys.asset_key""",
    "DELETE FROM runs USING template WHERE runs.run_id = template.run_id",
    "DELETE FROM event_logs USING template WHERE event_logs.run_id = template.run_id",
    "DELETE FROM asset_check_executions AS old USING template WHERE old.run_id = template.run_id",
)


def make(instance: DagsterInstance, connection: Any, runs: int) -> None:
    """Fill the instance's database. Takes about two minutes for 50,000 runs."""
    done = _templates(instance)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE template (number serial, run_id text)")
        for run_id in done:
            cursor.execute("INSERT INTO template (run_id) VALUES (%s)", (run_id,))
        cursor.execute("UPDATE template SET number = number - 1")
        cursor.execute(_NEW, {"runs": runs, "templates": len(done)})
        for statement in _STATEMENTS:
            cursor.execute(statement)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    connection.autocommit = False


def _templates(instance: DagsterInstance) -> list[str]:
    """A run of each asset, and of the job; ids."""
    job = years.resolve_implicit_global_asset_job_def()
    done = []
    for number in range(20):
        selected = job.get_subset(asset_selection={AssetKey(f"a{number:02}")})
        done.append(selected.execute_in_process(instance=instance).run_id)
    selected = job.get_subset(asset_selection={AssetKey("by_day")})
    done.append(selected.execute_in_process(instance=instance, partition_key=DAY).run_id)
    done.append(years.resolve_job_def("plain").execute_in_process(instance=instance).run_id)
    return done
