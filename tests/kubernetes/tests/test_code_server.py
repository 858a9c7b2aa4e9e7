"""Where the image's own code server listens (deploy/code_location/code_server.py)."""

from __future__ import annotations

import runpy
import socket
from typing import Any

import pytest
import yaml
from charts import ROOT
from stackctl.kubernetes.render import Rendered

CODE_SERVER: dict[str, Any] = runpy.run_path(str(ROOT / "deploy/code_location/code_server.py"))


def test_it_listens_where_the_values_say(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    [deployment] = yaml.safe_load(rendered.files["elt.values.yaml"])["deployments"]
    environment = {each["name"]: each["value"] for each in deployment["env"]}
    monkeypatch.setenv("CODE_SERVER_ADDRESS", environment["CODE_SERVER_ADDRESS"])
    assert CODE_SERVER["rpc_address"]() == "0.0.0.0"  # noqa: S104
    assert deployment["port"] == CODE_SERVER["PORT"]


def test_without_it_a_server_outside_an_rpc_network_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODE_SERVER_ADDRESS", raising=False)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    with pytest.raises(SystemExit, match="in no RPC network"):
        CODE_SERVER["rpc_address"]()
