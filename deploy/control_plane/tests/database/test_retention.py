"""Old runs go; what the user interface says of assets is the same before and after."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import graphql
import psycopg2
import pytest
from assets_with_history import history
from conftest import PASSWORD, NewRun, Postgres
from dagster import AssetKey, DagsterInstance, MultiPartitionKey
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.observe import observe
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.test.utils import SCHEMA
from ui_queries import query

from control_plane.errors import StackError
from control_plane.retention import plan, removal, schedule
from control_plane.retention.connection import alone
from control_plane.retention.rules import Rules, hour_of, rules_of
from control_plane.retention.schedule import is_due
from control_plane.retention.selection import PARAMETERS

DEFINITIONS = Path(__file__).with_name("assets_with_history.py")
RULES = Rules(days=30, runs=0, last=0)
DAY = 86400
ASSETS = ("source", "derived", "upstream", "downstream", "gridded", "named", "observed")
PARTITIONS = {
    "upstream": list("abcd"),
    "downstream": list("abcd"),
    "named": ["x", "y"],
    "gridded": ["a|1", "b|2"],
}


@pytest.fixture
def session(postgres: Postgres) -> Iterator[Any]:
    connection = psycopg2.connect(
        host="127.0.0.1",
        port=postgres.port,
        user="dagster",
        password=PASSWORD,
        dbname="dagster",
    )
    yield connection
    connection.close()


def age(postgres: Postgres, days: float, where: str = "true") -> None:
    """Let runs have ended so long ago."""
    postgres.run(
        "dagster",
        "UPDATE runs SET end_time = %s, update_timestamp = now() - make_interval(days => %s),"
        f" create_timestamp = now() - make_interval(days => %s) WHERE {where}",
        *(time.time() - days * DAY, int(days), int(days)),
    )


def remove(session: Any, rules: Rules = RULES) -> removal.Removed:
    return removal.remove(session, rules, lambda _done, _total: None, pause=0)


def run_ids(postgres: Postgres) -> set[str]:
    return {run_id for (run_id,) in postgres.run("dagster", "SELECT run_id FROM runs")}


def events(postgres: Postgres, run_id: str) -> list[str]:
    rows = postgres.run(
        "dagster",
        "SELECT dagster_event_type FROM event_logs WHERE run_id = %s ORDER BY id",
        run_id,
    )
    return [kind for (kind,) in rows]


def materialize(instance: DagsterInstance, *names: str, **options: Any) -> Any:
    """As a run of a location does it, planned events included."""
    selected = [dg.AssetKey(name) for name in names]
    job = history.resolve_implicit_global_asset_job_def()
    return job.get_subset(
        asset_selection=set(selected), asset_check_selection=options.pop("checks", None)
    ).execute_in_process(instance=instance, raise_on_error=False, **options)


@pytest.fixture
def lived(dagster: DagsterInstance, postgres: Postgres) -> None:
    """Years of history: made more than once, failed, checked, observed, with and without runs."""
    dagster.add_dynamic_partitions("names", ["x", "y"])
    for _ in range(2):
        materialize(dagster, "source", "derived")
        for letter in "abc":
            materialize(dagster, "upstream", partition_key=letter)
        materialize(dagster, "downstream", partition_key="a")
        materialize(dagster, "downstream", partition_key="c")
        materialize(
            dagster, "gridded", partition_key=MultiPartitionKey({"letter": "a", "number": "1"})
        )
        materialize(dagster, "named", partition_key="x")
        observe([history.resolve_assets_def("observed")], instance=dagster)
        history.resolve_job_def("plain").execute_in_process(instance=dagster)
    # Downstream of "a" was made from the first of these; the data has been the same since.
    materialize(dagster, "upstream", partition_key="a")
    materialize(dagster, "upstream", partition_key="a")
    # That of "c" has changed since.
    materialize(dagster, "upstream", partition_key="c", tags={"version": "2"})
    # A partition that failed after it was made, one that never was made, a check that raised.
    materialize(dagster, "upstream", partition_key="b", tags={"fail": "1"})
    materialize(dagster, "upstream", partition_key="d", tags={"fail": "1"})
    # It ran alone: nothing but the check needs its run.
    raises = {dg.AssetCheckKey(dg.AssetKey("source"), "raises_when_told")}
    materialize(dagster, checks=raises, tags={"fail": "1"})
    dagster.report_runless_asset_event(
        dg.AssetMaterialization("named", partition="y", tags={DATA_VERSION_TAG: "by hand"})
    )
    dagster.report_runless_asset_event(dg.AssetObservation("observed", metadata={"rows": 2}))
    for state in ("FAIL", "PASS"):
        dagster.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=AssetKey("source"),
                check_name="passes",
                passed=state == "PASS",
                metadata={},
            )
        )
    age(postgres, 400)


@pytest.fixture
def pages(dagster: DagsterInstance) -> Iterator[Callable[[], dict[str, Any]]]:
    """What the pages of the assets say, by the interface's own queries."""
    code = LoadableTargetOrigin(python_file=str(DEFINITIONS), attribute="history")
    location = InProcessCodeLocationOrigin(code, location_name="history")
    with WorkspaceProcessContext(dagster, InProcessWorkspaceLoadTarget(location)) as context:
        yield lambda: answers(context)


# Not asked by the interface of this release; other clients ask how long each took.
DURATIONS = """
query Durations($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    assetMaterializations(limit: 100) { runId stepStats { status startTime endTime } }
  }
}"""


@functools.cache
def read(text: str) -> graphql.DocumentNode:
    """The query, valid. To read them 243 times is three quarters of the time."""
    document = graphql.parse(text)
    assert graphql.validate(SCHEMA.graphql_schema, document) == []
    return document


async def execute(text: str, variables: dict[str, Any], context: Any) -> graphql.ExecutionResult:
    values = {"context_value": context, "variable_values": variables}
    result = graphql.execute(SCHEMA.graphql_schema, read(text), **values)
    return await result if inspect.isawaitable(result) else result


def answers(context: WorkspaceProcessContext) -> dict[str, Any]:
    said: dict[str, Any] = {}

    def ask(name: str, text: str = "", **variables: Any) -> None:
        # As each page does, without what an earlier one has loaded.
        fresh = context.create_request_context()
        result = asyncio.run(execute(text or query(name), variables, fresh))
        assert not result.errors, (name, variables, result.errors)
        said[f"{name} {variables}"] = result.data

    keys = [{"path": [name]} for name in ASSETS]
    for asked in ("Health", "GraphLive", "StaleStatusData", "sFreshnessInfo"):
        ask(f"Asset{asked}Query", assetKeys=keys)
    ask("AssetRecordsQuery", limit=100)
    ask("Durations", DURATIONS, keys=[key for key in keys if key["path"] != ["named"]])
    for name in ASSETS:
        key = {"path": [name]}
        for asked in ("AssetChecks", "PartitionHealth", "AssetOverviewMetadataEvents"):
            ask(f"{asked}Query", assetKey=key)
        ask("LatestAssetPartitionsQuery", assetKey=key, limit=20)
        kinds = ["MATERIALIZATION", "OBSERVATION", "FAILED_TO_MATERIALIZE"]
        ask("RecentAssetEventsQuery", assetKey=key, eventTypeSelectors=kinds, limit=100)
        for partition in PARTITIONS.get(name, ()):
            ask("AssetPartitionDetailQuery", assetKey=key, partitionKey=partition)
            ask("AssetPartitionStaleQuery", assetKey=key, partitionKey=partition)
            ask("AssetPartitionEventsQuery", assetKey=key, partitions=[partition])
    for check in ("passes", "raises_when_told"):
        source = {"path": ["source"]}
        ask("AssetCheckDetailsQuery", assetKey=source, checkName=check, limit=100)
        ask("AssetCheckPartitionHealthQuery", assetKey=source, checkName=check)
    return said


def test_what_people_see_of_their_assets_is_the_same(
    postgres: Postgres, session: Any, lived: None, pages: Callable[[], dict[str, Any]]
) -> None:
    before = pages()
    # It has what could be lost.
    text = json.dumps(before)
    for shown in ('"STALE"', '"FRESH"', '"EXECUTION_FAILED"', '"SUCCEEDED"', "same", "by hand"):
        assert shown in text
    assert "NotFound" not in text
    runs = run_ids(postgres)
    [(count,)] = postgres.run("dagster", "SELECT count(*) FROM event_logs")
    planned = plan.make(session, RULES)
    assert run_ids(postgres) == runs
    done = remove(session)
    [(left,)] = postgres.run("dagster", "SELECT count(*) FROM event_logs")
    assert count - left == done.events > 100
    assert len(run_ids(postgres)) == len(runs) - done.runs
    assert sum(share.runs for share in planned.shares) == done.runs > 5
    assert sum(share.events for share in planned.shares) == done.events
    same(before, pages(), run_ids(postgres))
    # Nor when the caches that Dagster keeps of an asset's partitions are rebuilt.
    postgres.run("dagster", "UPDATE asset_keys SET cached_status_data = NULL")
    same(before, pages(), run_ids(postgres))
    assert remove(session) == removal.Removed()


def same(before: dict[str, Any], after: dict[str, Any], present: set[str]) -> None:
    for asked, said in before.items():
        assert without_gone(after[asked], present) == without_gone(said, present), asked


def without_gone(said: Any, present: set[str]) -> Any:
    """Without the run itself beside an older event: it went, and the answer says so."""
    if isinstance(said, list):
        return [without_gone(each, present) for each in said]
    if not isinstance(said, dict):
        return said
    gone = said.get("runId") not in present if said.get("runId") else False
    return {
        name: None if gone and name in {"runOrError", "run"} else without_gone(each, present)
        for name, each in said.items()
    }


@pytest.fixture
def old_run(dagster: DagsterInstance, postgres: Postgres, new_run: NewRun) -> Callable[..., str]:
    """A run that ended 400 days ago, with an event."""

    def make(
        location: str = "elt", status: str = "SUCCESS", days: int = 400, **options: Any
    ) -> str:
        run = new_run(location, **options)
        postgres.run(
            "postgres", "UPDATE runs SET status = %s WHERE run_id = %s", status, run.run_id
        )
        age(postgres, days, f"run_id = '{run.run_id}'")
        return run.run_id

    return make


EVERYTHING_OLD = Rules(days=30, runs=0, last=0)


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_that_has_not_ended_stays(
    postgres: Postgres, session: Any, old_run: Callable[..., str], status: str
) -> None:
    run = old_run(status=status)
    ended = old_run()
    remove(session, EVERYTHING_OLD)
    assert run in run_ids(postgres)
    assert events(postgres, run)
    assert ended not in run_ids(postgres)
    postgres.run("postgres", "UPDATE runs SET status = 'CANCELED' WHERE run_id = %s", run)


def test_runs_of_a_backfill_stay_until_it_has_ended_and_then_it_goes_too(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    run = old_run(tags={"dagster/backfill": "fill"})
    postgres.run("dagster", "UPDATE runs SET backfill_id = 'fill' WHERE run_id = %s", run)
    postgres.run(
        "dagster",
        "INSERT INTO bulk_actions (key, status, timestamp) VALUES"
        " ('fill', 'REQUESTED', now() - interval '400 days')",
    )
    remove(session, EVERYTHING_OLD)
    assert run in run_ids(postgres)
    postgres.run(
        "dagster", "UPDATE bulk_actions SET status = 'COMPLETED_SUCCESS' WHERE key = 'fill'"
    )
    remove(session, EVERYTHING_OLD)
    assert run not in run_ids(postgres)
    assert postgres.run("dagster", "SELECT count(*) FROM bulk_actions WHERE key = 'fill'") == [(0,)]


def test_a_run_stays_while_a_re_execution_names_it(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    root = old_run()
    parent = old_run(tags={"dagster/root_run_id": root, "dagster/parent_run_id": root})
    child = old_run(
        status="QUEUED", tags={"dagster/root_run_id": root, "dagster/parent_run_id": parent}
    )
    remove(session, EVERYTHING_OLD)
    assert {root, parent, child} <= run_ids(postgres)
    postgres.run("postgres", "UPDATE runs SET status = 'SUCCESS' WHERE run_id = %s", child)
    remove(session, EVERYTHING_OLD)
    assert not {root, parent, child} & run_ids(postgres)


def test_a_sensor_does_not_start_a_run_again_because_its_run_went(
    dagster: DagsterInstance, postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    run = old_run(tags={"dagster/run_key": "file 1", "dagster/sensor_name": "files"})
    done = remove(session, EVERYTHING_OLD)
    assert done.logs == 1
    assert events(postgres, run) == []
    found = dagster.get_runs(dg.RunsFilter(tags={"dagster/run_key": "file 1"}))
    assert [each.run_id for each in found] == [run]
    assert remove(session, EVERYTHING_OLD) == removal.Removed()


def test_rules_of_a_location_and_of_a_job(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    rules = Rules(
        days=100, runs=0, last=0, locations={"elt": {"days": 10}, "analytics": {"runs": 1}}
    )
    by_age = {old_run("elt", days=20): False, old_run("elt", days=5): True}
    by_job = {
        old_run("elt", days=20, tags={"retention/days": "30"}): True,
        old_run("elt", days=8, tags={"retention/days": "4"}): False,
        old_run("elt", days=8, tags={"retention/days": "soon"}): True,
        old_run("elt", days=500, tags={"retention/days": "0"}): True,
    }
    by_number = {old_run("analytics", days=6): False, old_run("analytics", days=5): True}
    # A lost run may still be retried, whatever its job says.
    young = {old_run("elt", days=1, tags={"retention/days": "1", "retention/runs": "1"}): True}
    assert plan.make(session, rules).wrong_tags == [("elt", "plain", "retention/days", "soon")]
    remove(session, rules)
    present = run_ids(postgres)
    for run, stays in (by_age | by_job | by_number | young).items():
        assert (run in present) == stays
    postgres.run(
        "dagster", "DELETE FROM runs WHERE run_id = ANY (%s)", list(present & by_job.keys())
    )


def test_the_last_runs_of_a_job_stay(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    runs = [old_run("analytics", job="talking") for _ in range(4)]
    remove(session, Rules(days=30, runs=0, last=2))
    assert [run in run_ids(postgres) for run in runs] == [False, False, True, True]
    remove(session, EVERYTHING_OLD)


def test_what_another_session_has_locked_is_left(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    locked, free = old_run(), old_run()
    other = postgres.connect("dagster")
    other.autocommit = False
    with other, other.cursor() as cursor:
        cursor.execute("SELECT FROM runs WHERE run_id = %s FOR UPDATE", (locked,))
        remove(session, EVERYTHING_OLD)
    assert locked in run_ids(postgres)
    assert free not in run_ids(postgres)
    remove(session, EVERYTHING_OLD)
    assert locked not in run_ids(postgres)


def test_a_run_with_many_events_goes_in_steps(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    run = old_run()
    postgres.run(
        "dagster",
        "INSERT INTO event_logs (run_id, event, timestamp)"
        " SELECT %s, '{}', now() FROM generate_series(1, 5000)",
        run,
    )
    reports: list[int] = []
    removal.remove(
        session, EVERYTHING_OLD, lambda done, _total: reports.append(done.events), pause=0
    )
    assert reports[-1] > 5000
    assert events(postgres, run) == []


def test_steps_that_made_assets_are_listed_once_and_not_for_each_event(session: Any) -> None:
    """Whatever Postgres expects of a run's events: 10,000 that it knew nothing of took 9 s."""
    values = PARAMETERS | {"batch": ["a", "b"], "most": removal.EVENTS_AT_ONCE}
    with session, session.cursor() as cursor:
        cursor.execute(f"EXPLAIN {removal._EVENTS}", values)
        assert "CTE made" in "".join(line for (line,) in cursor.fetchall())


def test_one_at_a_time(postgres: Postgres, session: Any) -> None:
    other = postgres.connect("dagster")
    other.autocommit = False
    at_work = pytest.raises(StackError, match="another retention is at work")
    with alone(other), at_work, alone(session):
        pass
    other.close()


def test_freshness_states_but_the_latest_go(postgres: Postgres, session: Any) -> None:
    for key in ("one", "one", "two"):
        postgres.run(
            "dagster",
            "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, asset_key)"
            " VALUES ('', '{}', 'FRESHNESS_STATE_CHANGE', now() - interval '40 days', %s)",
            f'["{key}"]',
        )
    remove(session, EVERYTHING_OLD)
    left = postgres.run(
        "dagster",
        "DELETE FROM event_logs WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE'"
        " AND event = '{}' RETURNING asset_key",
    )
    assert sorted(left) == [('["one"]',), ('["two"]',)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM runs",
        "DELETE FROM event_logs",
        "DELETE FROM asset_check_executions",
        "DELETE FROM control.removed_run",
        "INSERT INTO control.removed_run (run_id) VALUES ('x')",
        "SELECT control.list_removed()",
    ],
)
def test_a_location_cannot_delete_by_it(postgres: Postgres, statement: str) -> None:
    with pytest.raises(psycopg2.Error, match=r"permission denied|trigger"):
        postgres.run("elt", statement)


def test_a_location_reads_which_of_its_own_runs_were_removed(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    own, others = old_run("elt"), old_run("analytics")
    remove(session, EVERYTHING_OLD)
    listed = {run for (run,) in postgres.run("elt", "SELECT run_id FROM control.removed_run")}
    assert own in listed
    assert others not in listed


def test_space_is_used_again_and_given_back(
    postgres: Postgres, session: Any, old_run: Callable[..., str]
) -> None:
    run = old_run()
    postgres.run(
        "dagster",
        "INSERT INTO event_logs (run_id, event, timestamp)"
        " SELECT %s, repeat(md5(i::text), 30), now() FROM generate_series(1, 10000) AS i",
        run,
    )
    remove(session, EVERYTHING_OLD)
    removal.vacuum(session)
    before, after = removal.vacuum(session, full=True)["event_logs"]
    assert after <= before


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("RETENTION_DAYS", "1", "RETENTION_DAYS is 1: a lost run may still be retried"),
        ("RETENTION_DAYS", "a year", "RETENTION_DAYS is 'a year': not a whole number"),
        ("RETENTION_RUNS", "-1", "RETENTION_RUNS is '-1': not a whole number"),
        ("RETENTION_LOCATIONS", "elt=3", "RETENTION_LOCATIONS has 'elt=3': not a rule"),
        ("RETENTION_LOCATIONS", "elt.days=1", "elt.days is 1: a lost run"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: str, said: str) -> None:
    with pytest.raises(StackError, match=said):
        rules_of({setting: value})


def test_settings() -> None:
    rules = rules_of({"RETENTION_LOCATIONS": "elt.days=90 elt.runs=10 analytics.days=0"})
    assert rules == Rules(locations={"elt": {"days": 90, "runs": 10}, "analytics": {"days": 0}})
    assert (hour_of({}), hour_of({"RETENTION_HOUR": "off"})) == (3, None)
    with pytest.raises(StackError, match="RETENTION_HOUR is '24'"):
        hour_of({"RETENTION_HOUR": "24"})


def test_when_it_begins_by_itself() -> None:
    three = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
    long_ago = three - timedelta(days=9)
    yesterday = three - timedelta(days=1)
    assert is_due(three, yesterday, 3, long_ago)
    assert not is_due(three - timedelta(minutes=1), yesterday, 3, long_ago)
    # Not twice, also when the daemon restarts.
    assert not is_due(three + timedelta(hours=2), three, 3, three + timedelta(hours=1))
    # A machine that was off at three does it later, but not in its first minutes.
    later = three + timedelta(hours=6)
    assert not is_due(later, yesterday, 3, later - timedelta(minutes=1))
    assert is_due(later, yesterday, 3, later - timedelta(minutes=11))
    # A new stack has nothing to remove.
    assert not is_due(three, None, 3, long_ago)


def test_the_daemon_begins_it_once(
    dagster: DagsterInstance,
    postgres: Postgres,
    old_run: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in {"HOST": "127.0.0.1", "PORT": postgres.port, "DB": "dagster"}.items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", str(value))
    monkeypatch.setenv("DAGSTER_POSTGRES_USER", "dagster")
    monkeypatch.setenv("DAGSTER_POSTGRES_PASSWORD", PASSWORD)
    monkeypatch.setenv("RETENTION_KEEP_LAST", "0")
    monkeypatch.setattr(schedule, "_SETTLED", timedelta())
    caplog.set_level("INFO", schedule.logger.name)
    run = old_run(days=400)
    daily = schedule.Daily(dagster, hour=3)
    daily.start()
    assert daily.is_alive()
    assert not daily.look()
    assert run in run_ids(postgres)
    before = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    dagster.run_storage.set_cursor_values({schedule.KEY: before})
    assert daily.look()
    assert run not in run_ids(postgres)
    assert "removed 1 runs" in caplog.text
    assert not daily.look()


FILES = Path(__file__).parents[3] / "code_location" / "run_files.py"


def test_a_location_removes_the_files_of_its_removed_runs_alone(
    postgres: Postgres, session: Any, old_run: Callable[..., str], tmp_path: Path
) -> None:
    gone, others, stays = old_run("elt"), old_run("analytics"), old_run("elt", days=1)
    remove(session, EVERYTHING_OLD)
    unknown, linked = (str(uuid.uuid4()) for _ in range(2))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("not a run's")
    logs, values = tmp_path / "logs", tmp_path / "values" / "storage"
    for folder in (logs, values):
        for name in (gone, others, stays, unknown, "an_asset"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text("text")
        (folder / linked).symlink_to(outside)
    (logs / gone / "link").symlink_to(outside)
    environment = {
        **{"DAGSTER_POSTGRES_HOST": "127.0.0.1", "DAGSTER_POSTGRES_PORT": str(postgres.port)},
        **{"DAGSTER_POSTGRES_DB": "dagster", "DAGSTER_POSTGRES_USER": "elt"},
        **{"DAGSTER_POSTGRES_PASSWORD": PASSWORD, "DAGSTER_LOCATION_NAME": "elt"},
        **{"DAGSTER_COMPUTE_LOGS_DIR": str(logs), "DAGSTER_STORAGE_DIR": str(tmp_path / "values")},
    }

    def ask(task: str, ids: str = "") -> str:
        command = [sys.executable, str(FILES), task]
        return subprocess.run(
            command, env=environment, input=ids, text=True, check=True, capture_output=True
        ).stdout

    assert "elt: 4 folders of step logs and values to remove" in ask("plan", stays)
    assert (logs / gone).exists()
    assert "elt: 2 folders of step logs and values removed" in ask("run")
    left = {others, stays, unknown, linked, "an_asset"}
    assert {each.name for each in logs.iterdir()} == left
    assert {each.name for each in values.iterdir()} == left
    assert (outside / "file").exists()
    postgres.run("dagster", "DELETE FROM runs WHERE run_id = %s", stays)
