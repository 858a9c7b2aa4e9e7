"""Each alert fires at its fault, with its labels, and none when all is well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from prometheus import MONITORING, promtool

RULES = ("alerts.yml", "recording.yml")
ELT = 'location="elt"'
TICK = f'{{{ELT},type="schedule",name="hourly"}}'
TICK_LABELS = {"location": "elt", "type": "schedule", "name": "hourly"}
SESSION = '{role="elt",database="dagster"}'
HEARTBEAT = "dagster_daemon_heartbeat_timestamp_seconds"
LATENESS = "dagster_schedule_tick_lateness_seconds"
# One value each 15 s, for an hour. What a healthy stack says, and what is only nearly a fault.
WELL = {
    'up{job="dagster"}': "1x240",
    'dagster_exporter_group_up{group="queue"}': "1x240",
    'dagster_exporter_group_up{group="locations"}': "1x240",
    'dagster_exporter_group_up{group="pools"}': "1x240",
    'dagster_exporter_folded_series{metric="a"}': "0x240",
    "dagster_exporter_folded_counters": "0x240",
    HEARTBEAT + '{daemon="sensor"}': "0+15x240",
    HEARTBEAT + '{daemon="backfill"}': "0+15x240",
    "dagster_location_loaded{location='elt'}": "1x240",
    f'dagster_active_run_oldest_age_seconds{{status="QUEUED",{ELT},job="a"}}': "900x240",
    f'dagster_active_runs{{status="STARTED",{ELT},job="b"}}': "1x240",
    f'dagster_runs_ended_total{{status="FAILURE",{ELT},job="a"}}': "0+1x240",
    f'dagster_runs_ended_total{{status="SUCCESS",{ELT},job="a"}}': "0+1x240",
    f"dagster_instigator_failing{TICK}": "1x240",
    f"dagster_instigator_running{TICK}": "0x240",
    f"{LATENESS}_count{{{ELT}}}": "0+1x240",
    f'{LATENESS}_bucket{{{ELT},le="60.0"}}': "0+1x240",
    'dagster_asset_stale{asset="a",state="WARN"}': "1x240",
    'postgres_sessions{role="elt",database="dagster",state="idle"}': "60x240",
    "postgres_max_connections": "300x240",
    f"postgres_longest_transaction_seconds{SESSION}": "60x240",
    'postgres_sessions_waiting_for_lock{role="elt"}': "0x240",
    "stack_disk_bytes": "1000x240",
    "stack_disk_free_bytes": "500x240",
    "backup_last_success_timestamp_seconds": "0x240",
    "backup_last_failed": "0x240",
    "backup_rehearsal_failed": "0x240",
    "web_gateway_certificate_end_timestamp_seconds": "2000000x240",
}
CRITICAL, WARNING, INFO = ({"severity": each} for each in ("critical", "warning", "info"))
# By alert: what is another value, and the labels with which it fires at the end of the hour.
FAULTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "MetricsAway": ({'up{job="dagster"}': "1x200 0x40"}, CRITICAL),
    "MetricsStale": (
        {'dagster_exporter_group_up{group="pools"}': "1x200 0x40"},
        WARNING | {"group": "pools"},
    ),
    "SeriesFolded": ({'dagster_exporter_folded_series{metric="a"}': "3x240"}, INFO),
    "DatabaseAway": (
        {'dagster_exporter_group_up{group="queue"}': "1x232 0x8"},
        CRITICAL | {"group": "queue"},
    ),
    "WebserverAway": (
        {'dagster_exporter_group_up{group="locations"}': "1x200 0x40"},
        CRITICAL | {"group": "locations"},
    ),
    "DaemonDead": (
        {
            HEARTBEAT + '{daemon="sensor"}': "0+15x200 3000x40",
            HEARTBEAT + '{daemon="backfill"}': "0+15x200 3000x40",
        },
        CRITICAL,
    ),
    "DaemonPartDead": (
        {HEARTBEAT + '{daemon="backfill"}': "0+15x180 2700x60"},
        WARNING | {"daemon": "backfill"},
    ),
    "LocationNotLoaded": (
        {"dagster_location_loaded{location='elt'}": "1x200 0x40"},
        CRITICAL | {"location": "elt"},
    ),
    "QueueStuck": (
        {f'dagster_active_runs{{status="STARTED",{ELT},job="b"}}': "1x200 0x40"},
        CRITICAL,
    ),
    "JobFailing": (
        {f'dagster_runs_ended_total{{status="SUCCESS",{ELT},job="a"}}': "5x240"},
        WARNING | {"location": "elt", "job": "a"},
    ),
    "TicksFailing": ({f"dagster_instigator_running{TICK}": "1x240"}, WARNING | TICK_LABELS),
    "SchedulesLate": (
        {f'{LATENESS}_bucket{{{ELT},le="60.0"}}': "0+1x200 200x40"},
        WARNING | {"location": "elt"},
    ),
    "AssetStale": (
        {'dagster_asset_stale{asset="a",state="FAIL"}': "1x240"},
        WARNING | {"asset": "a", "state": "FAIL"},
    ),
    "AssetCheckFailed": (
        {'dagster_asset_check_failed{asset="a",check="c"}': "1x240"},
        WARNING | {"asset": "a", "check": "c"},
    ),
    "MemoryShort": (
        {
            'stack_container_memory_bytes{kind="service",service="elt"}': "96x240",
            'stack_container_memory_limit_bytes{kind="service",service="elt"}': "100x240",
        },
        WARNING | {"kind": "service", "service": "elt"},
    ),
    "ConnectionsShort": (
        {'postgres_sessions{role="elt",database="dagster",state="idle"}': "250x240"},
        WARNING,
    ),
    "LongTransaction": (
        {f"postgres_longest_transaction_seconds{SESSION}": "2000x240"},
        WARNING | {"role": "elt", "database": "dagster"},
    ),
    "LockWait": ({'postgres_sessions_waiting_for_lock{role="elt"}': "1x240"}, WARNING),
    "DiskShort": ({"stack_disk_free_bytes": "90x240"}, CRITICAL),
    "DiskFills": ({"stack_disk_free_bytes": "390-1x240"}, WARNING),
    "BackupOverdue": ({"backup_last_success_timestamp_seconds": "-130000x240"}, CRITICAL),
    "BackupFailed": ({"backup_last_failed": "1x240"}, WARNING),
    "RehearsalFailed": ({"backup_rehearsal_failed": "1x240"}, CRITICAL),
    "BackupOffsiteOverdue": (
        {"backup_offsite_last_success_timestamp_seconds": "-30000x240"},
        CRITICAL,
    ),
    "BackupOffsiteFailed": ({"backup_offsite_last_failed": "1x240"}, WARNING),
    "BackupOffsiteDamaged": ({"backup_offsite_check_failed": "1x240"}, CRITICAL),
    "CertificateEnds": (
        {"web_gateway_certificate_end_timestamp_seconds": "1000000x240"},
        WARNING,
    ),
}


def _test(name: str, changes: dict[str, str], fires: dict[str, dict[str, str]]) -> dict[str, Any]:
    series = {key.replace("'", '"'): values for key, values in (WELL | changes).items()}
    samples = [
        {
            "labels": "ALERTS{"
            + ",".join(
                f"{key}={json.dumps(value)}"
                for key, value in ({"alertname": alert, "alertstate": "firing"} | labels).items()
            )
            + "}",
            "value": 1,
        }
        for alert, labels in fires.items()
    ]
    ask = {"expr": 'ALERTS{alertstate="firing"}', "eval_time": "1h", "exp_samples": samples}
    return {
        "name": name,
        "interval": "15s",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [ask],
    }


RECORDED = {
    "name": "recording rules",
    "interval": "1m",
    "input_series": [
        {"series": series, "values": values}
        for series, values in {
            f'dagster_runs_ended_total{{status="FAILURE",{ELT},job="a"}}': "0+1x60",
            f'dagster_runs_ended_total{{status="SUCCESS",{ELT},job="a"}}': "0+3x60",
            f'dagster_run_launches_total{{{ELT},mode="standby"}}': "0+3x60",
            f'dagster_run_launches_total{{{ELT},mode="cold"}}': "0+1x60",
            f'dagster_run_duration_seconds_sum{{{ELT},job="a"}}': "0+20x60",
            f'dagster_run_duration_seconds_count{{{ELT},job="a"}}': "0+4x60",
            f'dagster_run_queue_wait_seconds_bucket{{{ELT},le="1.0"}}': "0+4x60",
            f'dagster_run_queue_wait_seconds_bucket{{{ELT},le="+Inf"}}': "0+4x60",
        }.items()
    ],
    "promql_expr_test": [
        {
            "expr": name,
            "eval_time": "1h",
            "exp_samples": [{"labels": f"{name}{{{labels}}}", "value": value}],
        }
        for name, labels, value in (
            ("location_job:dagster_runs_failed:ratio1d", f'{ELT},job="a"', 0.25),
            ("location:dagster_run_standby:ratio1h", ELT, 0.75),
            ("location_job:dagster_run_duration_seconds:mean1d", f'{ELT},job="a"', 5),
        )
    ]
    + [
        {
            "expr": "round(location:dagster_run_queue_wait_seconds:p95_1h, 0.01)",
            "eval_time": "1h",
            "exp_samples": [{"labels": f"{{{ELT}}}", "value": 0.95}],
        }
    ],
}


def test_the_configuration_is_valid() -> None:
    done = promtool("check", "config", "prometheus/prometheus.yml")
    assert done.returncode == 0, done.stderr


def test_each_alert_has_a_fault_and_a_fix() -> None:
    groups = yaml.safe_load((MONITORING / "prometheus/alerts.yml").read_text())["groups"]
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    assert alerts.keys() == FAULTS.keys()
    for name, rule in alerts.items():
        assert rule["annotations"].keys() == {"summary", "fix"}, name


def test_alerts_fire_at_their_faults_alone(tmp_path: Path) -> None:
    # A stale asset's warning is a series of its own, as is each that only a fault has.
    tests = [_test("all is well", {}, {})]
    tests += [_test(name, changes, {name: labels}) for name, (changes, labels) in FAULTS.items()]
    rules = [str(MONITORING / "prometheus" / name) for name in RULES]
    file = tmp_path / "tests.yml"
    file.write_text(
        yaml.safe_dump(
            # Less often than in the stack: rules are what this costs.
            {"rule_files": rules, "evaluation_interval": "1m", "tests": [*tests, RECORDED]}
        )
    )
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
