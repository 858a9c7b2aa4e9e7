"""What is made of the figures."""

from __future__ import annotations

from typing import Any

import report


def figure(locations: int, quiet: bool) -> dict[str, Any]:
    """Of a configuration in which each location takes 100 MiB and 1 % of a core."""
    services = ("webserver", "daemon", "postgres", "docker_gateway", "web_gateway")
    runs = {"runs": 20, "queue_wait_s_median": 0.125, "database_bytes_per_run": 1000.0}
    return {
        **{"locations": locations, "assets": 100, "standby": 0, "quiet": quiet},
        **{
            "date": "2026-11-27",
            "machine": "2 CPUs",
            "load": {"runs": 60, "over_s": 180, "burst": 20},
        },
        **{"busy_before": 1.5, "idle_others_cores": 0.0},
        "memory_mib": {**dict.fromkeys(services, 50.0), "code servers": 100.0 * locations},
        "idle_cpu_percent": {
            **dict.fromkeys(services, 0.5),
            "code servers": 1.0 * locations,
            "engine": 9.0,
        },
        **dict.fromkeys(
            (
                *("location_memory_mib", "standby_memory_mib", "start_s", "reload_s"),
                *("start_cpu_s_per_location", "webserver_load_s", "webserver_load_cpu_s"),
                *("daemon_load_s", "daemon_load_cpu_s", "idle_connections"),
            ),
            7.0,
        ),
        "start_cpu_s": {"engine": 3.0},
        "rate": runs,
        "burst": runs,
    }


def cells(text: str, row: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_times_of_a_busy_machine_are_not_shown() -> None:
    text = report.markdown([figure(10, quiet=True), figure(20, quiet=False)])
    assert cells(text, "reload of the workspace, s") == ["7.00", "(1)"]
    assert cells(text, "memory, MiB: all") == ["1,250", "2,250"]
    assert cells(text, "idle CPU, % of a core: all containers") == ["12.5", "22.5 (2)"]
    assert "Others used 1.5 cores" in text


def test_what_a_location_adds() -> None:
    said = report.rule([figure(10, quiet=True), figure(20, quiet=True)])
    assert "250 MiB and 100 MiB per location" in said
    assert "2.5 % of a core and 1.00 % per location" in said
    assert report.rule([figure(10, quiet=True)]) == ""


def test_a_configuration_that_is_measured_again_is_replaced() -> None:
    before = [figure(20, quiet=False), figure(10, quiet=False)]
    after = report.merged(before, figure(20, quiet=True))
    assert [(each["locations"], each["quiet"]) for each in after] == [(10, False), (20, True)]
