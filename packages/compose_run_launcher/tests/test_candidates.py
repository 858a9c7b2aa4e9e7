"""A release that is being tried out beside the live one is not the service."""

from __future__ import annotations

from typing import Any

import pytest

from compose_run_launcher.engine import Engine

LIVE = {"Id": "live", "Names": ["/s-elt-1"], "State": "running", "Created": 1}
CANDIDATE = {"Id": "new", "Names": ["/s-elt-candidate"], "State": "running", "Created": 2}


class Api:
    """What the engine's client answers."""

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [CANDIDATE, LIVE]

    def inspect_container(self, container_id: str) -> dict[str, Any]:
        return {"Id": container_id}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(Engine, "api", Api())
    return Engine("s")


def test_runs_copy_the_live_container(engine: Engine) -> None:
    assert [container["Id"] for container in engine.service_containers("elt")] == ["live"]


def test_no_worker_stands_by_for_a_candidate(engine: Engine) -> None:
    assert [container["Id"] for container in engine.list_code_locations()] == ["live"]
