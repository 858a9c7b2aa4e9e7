"""Who asks Docker Engine, asks in the gateway's version of its API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from compose_run_launcher import API_VERSION
from compose_run_launcher.engine import Engine

from control_plane import rpc_networks

GATEWAY = Path(__file__).parents[2] / "gateway/docker/src/docker_gateway/engine.py"


def test_launcher_and_gateway_agree() -> None:
    match = re.search(r'^VERSION = "/v(.+)"$', GATEWAY.read_text(), re.MULTILINE)
    assert match is not None
    assert match[1] == API_VERSION
    # No engine is asked for its own: there is none.
    assert Engine("shop").api.api_version == API_VERSION


def test_so_does_what_joins_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Away(Exception):
        """Nobody answers."""

    def follow(api: Any, project: str) -> None:
        asked.append(api.api_version)
        raise Away

    monkeypatch.setattr(rpc_networks, "follow", follow)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "shop")
    with pytest.raises(Away):
        rpc_networks._follow_for_ever({"base_url": "http://127.0.0.1:9"})
    assert asked == [API_VERSION]
