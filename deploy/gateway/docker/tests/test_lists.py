"""Lists and events: of this stack, of runs and code locations alone."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from engine_stand_in import EngineStandIn, refused
from shop import RUN_NAME, VERSION, Caller

STACK = "compose_run_launcher.project"
COMPOSE = "com.docker.compose.project"


@pytest.mark.parametrize(
    "filters",
    [
        None,
        {},
        [],
        {"label": ["x"]},
        {"label": {f"{COMPOSE}=shop": True}},
        {"label": [COMPOSE]},
        {"label": [f"{COMPOSE}=shop-other"]},
        {"label": [f"{STACK}=another"]},
        {"name": ["shop"]},
        {"label": [f"{STACK}=shop"], "name": ["a|b"]},
        {"label": [f"{STACK}=shop"], "volume": ["x"]},
        {"label": [f"{STACK}=shop", 1]},
    ],
    ids=str,
)
@pytest.mark.parametrize("what", ["containers/json?all=1&", "events?until=1&"])
def test_lists_are_of_this_stack(
    daemon: Caller, engine: EngineStandIn, what: str, filters: Any
) -> None:
    typed = copy.deepcopy(filters)
    if what.startswith("events") and isinstance(typed, dict):
        typed["type"] = ["container"]
    query = "" if filters is None else f"filters={quote(json.dumps(typed))}"
    refused(engine, daemon.ask("GET", f"{VERSION}/{what}{query}"))


@pytest.mark.parametrize(
    ("label", "added"),
    [
        (f"{STACK}=shop", ["compose_run_launcher.role=run"]),
        (
            f"{COMPOSE}=shop",
            ["compose_run_launcher.role=code-location", "com.docker.compose.oneoff=False"],
        ),
    ],
)
def test_lists_show_runs_and_code_locations_alone(
    daemon: Caller, engine: EngineStandIn, label: str, added: list[str]
) -> None:
    filters = {"label": [label], "name": [RUN_NAME]}
    query = "limit=-1&all=1&size=0&trunc_cmd=0&filters="
    target = f"{VERSION}/containers/json?{query}{quote(json.dumps(filters))}"
    assert daemon.ask("GET", target).status == 200
    path, _, sent = engine.requests[0].line.partition("?")
    assert path == f"GET {VERSION}/containers/json"
    found = {name: values[0] for name, values in parse_qs(sent).items()}
    assert found.keys() == {"all", "filters"}
    assert json.loads(found["filters"]) == {"label": [label, *added], "name": [RUN_NAME]}


@pytest.mark.parametrize(
    "filters",
    [
        {"label": [f"{STACK}=shop"]},
        {"label": [f"{STACK}=shop"], "type": ["container", "image"]},
        {"label": [f"{STACK}=shop"], "type": ["container"], "event": ["a b"]},
        {"label": [f"{STACK}=shop"], "type": ["container"], "image": ["x"]},
    ],
    ids=str,
)
def test_events_are_of_containers(
    daemon: Caller, engine: EngineStandIn, filters: dict[str, list[str]]
) -> None:
    refused(engine, daemon.ask("GET", f"{VERSION}/events?filters={quote(json.dumps(filters))}"))
