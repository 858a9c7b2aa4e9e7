"""A backfill waits for its location, with the settings that both modes give the daemon."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import AssetKey
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import (
    InProcessTestWorkspaceLoadTarget,
    create_test_daemon_workspace_context,
    instance_for_test,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.workspace import CurrentWorkspace
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._record import copy
from dagster_shared.error import SerializableErrorInfo

CODE = """
import dagster as dg

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b", "c"]))
def parts(): ...

defs = dg.Definitions(assets=[parts])
"""
COMPOSE = Path(__file__).resolve().parents[3] / "docker-compose.yml"


@pytest.fixture
def context(tmp_path: Path, new_home: Callable[[], str]) -> Iterator[WorkspaceProcessContext]:
    """A workspace with the location elt, and a backfill of its asset that was just requested."""
    file = tmp_path / "code.py"
    file.write_text(CODE)
    target = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(file))
    load = InProcessTestWorkspaceLoadTarget([InProcessCodeLocationOrigin(target, "elt")])
    launcher = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    with (
        instance_for_test({"run_launcher": launcher}, temp_dir=new_home()) as instance,
        create_test_daemon_workspace_context(load, instance) as context,
    ):
        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id="backfill",
            asset_graph=context.create_request_context().asset_graph,
            partition_names=["a", "b", "c"],
            asset_selection=[AssetKey("parts")],
            backfill_timestamp=1_700_000_000.0,
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        instance.add_backfill(backfill)
        yield context


def look_after(context: WorkspaceProcessContext) -> PartitionBackfill:
    """One round of the backfill daemon; the backfill after it."""
    list(execute_backfill_iteration(context, logging.getLogger("test")))
    found = context.instance.get_backfill("backfill")
    assert found is not None
    return found


def set_away(context: Any) -> None:
    """As when the location's server is stopped, and has been noticed to be."""
    entries = {
        name: copy(entry, code_location=None, load_error=SerializableErrorInfo("away", [], None))
        for name, entry in context.get_current_workspace().code_location_entries.items()
    }
    context._current_workspace = CurrentWorkspace(code_location_entries=entries)


def test_it_goes_on_when_its_location_is_back(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, value in services["daemon"].get("environment", {}).items():
        if "BACKFILL" in name:
            monkeypatch.setenv(name, value)
    there = context.get_current_workspace()
    set_away(context)
    # More often than Dagster retries what else goes wrong with a backfill.
    for _ in range(7):
        backfill = look_after(context)
        assert (backfill.status, backfill.error) == (BulkActionStatus.REQUESTED, None)
    assert context.instance.get_runs_count() == 0
    context._current_workspace = there
    assert look_after(context).status == BulkActionStatus.REQUESTED
    assert context.instance.get_runs_count() == 3
