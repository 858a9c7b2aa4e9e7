"""Grafana's files are complete, consistent, and of metrics that exist. It does not run itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from prometheus import MONITORING, promtool
from stack_exporter import __main__ as exporter
from stack_exporter import outside
from stack_exporter.counted import Counted
from stack_exporter.database import Database

GRAFANA = MONITORING / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
# Of prometheus_client, Prometheus itself, and how groups are.
OTHERS = {
    *("process_cpu_seconds_total", "process_resident_memory_bytes"),
    *("scrape_duration_seconds", "up", "ALERTS"),
    *("dagster_exporter_group_up", "dagster_exporter_group_seconds"),
    *("dagster_exporter_folded_series", "dagster_exporter_group_failures_total"),
}


def panels(dashboard: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard.read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Of all panels: where, and the expression with Grafana's variables filled in."""
    for dashboard in DASHBOARDS:
        for panel in panels(dashboard):
            for target in panel.get("targets", ()):
                text = target["expr"].replace("$__rate_interval", "1m").replace("$location", "elt")
                yield f"{dashboard.stem}: {panel['title']}", text


def rules() -> list[dict[str, Any]]:
    files = [MONITORING / "prometheus" / name for name in ("recording.yml", "alerts.yml")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def known_metrics() -> set[str]:
    """Every name that the exporter can show, and every one that is recorded."""
    registry = CollectorRegistry()
    counted = Counted(registry, 10)
    nowhere = Database("127.0.0.1", 1, "", "", str)
    groups = [*exporter.of_database(nowhere, counted), *exporter.of_the_outside("nowhere")]
    gauges = {family.name for group in groups for family in group.families}
    counts: set[str] = set()
    for metric in registry.collect():
        ends = ("_bucket", "_sum", "_count") if metric.type == "histogram" else ("_total",)
        counts |= {metric.name + end for end in ends}
    return gauges | counts | OTHERS | {rule["record"] for rule in rules() if "record" in rule}


def names(expression: str) -> set[str]:
    """Metrics of an expression: words with an underscore, outside of labels, no functions."""
    bare = re.sub(
        r'"[^"]*"|\{[^}]*\}|\b(by|on|without|ignoring) *\([^)]*\)|\[[^\]]*\]', " ", expression
    )
    words = set(re.findall(r"[A-Za-z_][\w:]*\b(?! *\()", bare))
    return {word for word in words if "_" in word or word in {"up", "ALERTS"}}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: str(each.stem))
def test_a_dashboard_is_complete(dashboard: Path) -> None:
    content = json.loads(dashboard.read_text())
    assert content["uid"] and content["title"] and content["description"]
    assert content["schemaVersion"] >= 39 and not content["editable"]
    ids = [panel["id"] for panel in panels(dashboard)]
    assert len(ids) == len(set(ids))
    places: set[tuple[int, int]] = set()
    for panel in panels(dashboard):
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & places, f"{panel['title']} covers another panel"
        places |= cells
        if panel["type"] in {"row", "text"}:
            continue
        assert panel["datasource"]["uid"] == "prometheus", panel["title"]
        assert panel["targets"], panel["title"]
    variables = {each["name"] for each in content["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", json.dumps(content["panels"]))) - {"__rate_interval"}
    assert used == variables


def test_the_four_dashboards_and_where_they_are_found() -> None:
    uids = {json.loads(each.read_text())["uid"] for each in DASHBOARDS}
    assert uids == {f"dagster-{name}" for name in ("overview", "location", "run", "capacity")}
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["uid"] == "prometheus" and not source["editable"]
    compose = yaml.safe_load((MONITORING.parents[1] / "docker-compose.yml").read_text())
    grafana = compose["services"]["grafana"]
    assert source["url"].removeprefix("$") in grafana["environment"]
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/files.yml").read_text())[
        "providers"
    ]
    assert (
        f"./deploy/monitoring/grafana/dashboards:{provider['options']['path']}:ro"
        in grafana["volumes"]
    )


def test_each_expression_is_of_metrics_that_exist() -> None:
    known = known_metrics()
    for where, expression in expressions():
        assert names(expression), where
        assert names(expression) <= known, (where, names(expression) - known)
    for rule in rules():
        assert names(rule["expr"]) <= known, (rule, names(rule["expr"]) - known)


def test_prometheus_can_read_each_expression(tmp_path: Path) -> None:
    found = [
        {"record": f"a:b{number}", "expr": text} for number, (_, text) in enumerate(expressions())
    ]
    assert len(found) > 50
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": found}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stderr


def test_the_web_gateway_passes_on_the_exporters_question() -> None:
    rules_of_gateway = (MONITORING.parent / "gateway/web/haproxy.cfg").read_text()
    assert f"acl question req.body -m str '{outside.LOCATIONS_REQUEST}'\n" in rules_of_gateway
