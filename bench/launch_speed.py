"""How fast runs start, go and end: Dagster's documented compose setup, and this project.

    bench/run launch_speed [--launches 9] [--row 20] [--drain 50] [--loads 3]

Prints a table, and writes it to docs/launch-speed.json. All times in seconds, medians. The
stacks run one after the other, each alone on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cpu import Usage
from peers import baseline, ours, quiet, running

from harness import REPOSITORY, Stack, until
from runs import Run, launch

# The job that Dagster makes of a selection of assets.
ASSET_JOB = "__ASSET_JOB"
# (what it is called, code location, job)
JOBS = [
    ("1-op job", "jobs", "one_op_job"),
    ("4-op job", "jobs", "four_op_job"),
    ("elt asset", "elt", ASSET_JOB),
]
ASSET = "customers_table"


def start(stack: Stack, location: str, job: str) -> Run:
    """Launch a job, or one asset of elt."""
    if job == ASSET_JOB:
        return launch(stack, location, job, assets=[ASSET])
    return launch(stack, location, job)


def one_launch(
    stack: Stack, location: str, job: str, pause: bool = True
) -> tuple[float, float, float]:
    """Seconds from the click to run start, first step, and end."""
    if pause:
        quiet(stack)
    clicked = time.time()
    run = start(stack, location, job)
    ended = run.wait(seconds=120)
    steps = [
        int(event["timestamp"]) / 1000
        for event in run.events()
        if event["__typename"] == "ExecutionStepStartEvent"
    ]
    return ended["startTime"] - clicked, min(steps) - clicked, ended["endTime"] - clicked


def in_a_row(stack: Stack, count: int) -> dict[str, float]:
    """Launches without a pause, the next one as soon as the one before has ended."""
    quiet(stack)
    taken = [one_launch(stack, "jobs", "one_op_job", pause=False) for _ in range(count)]
    first_steps = [first_step for _, first_step, _ in taken]
    print(f"  in a row: first step: {[round(value, 2) for value in first_steps]}", flush=True)
    return {f"1-op job, {count} in a row: first step": statistics.median(first_steps)}


def drain(stack: Stack, count: int) -> dict[str, float]:
    """Queue runs while the daemon is paused: how many then end in a minute, and whose CPU it is."""
    quiet(stack)
    stack.compose("pause", "daemon")
    queued = [start(stack, "jobs", "one_op_job") for _ in range(count)]
    usage = Usage(stack)
    began = time.time()
    stack.compose("unpause", "daemon")

    def all_ended() -> None:
        assert all(run.status == "SUCCESS" for run in queued[-3:])
        assert all(run.status == "SUCCESS" for run in queued)

    until(all_ended, seconds=900, every=1)
    seconds = max(run.get()["endTime"] for run in queued) - began
    return {
        "runs_per_minute": 60 * count / seconds,
        **{f"cpu_s_per_run_{who}": used / count for who, used in usage.since().items()},
    }


def events(stack: Stack, loads: int) -> dict[str, float]:
    """An op that writes 10,000 log messages, alone on the machine: its seconds, whose CPU it is."""
    quiet(stack)
    usage = Usage(stack)
    taken = []
    for _ in range(loads):
        run = start(stack, "jobs", "events_job")
        ended = run.wait(seconds=600)
        taken.append(ended["endTime"] - ended["startTime"])
    print(f"  10,000 events: {[round(value, 2) for value in taken]}", flush=True)
    used = usage.since()
    return {
        "10,000 events": statistics.median(taken),
        **{f"10,000 events, CPU s {who}": used[who] / loads for who in ("all", "postgres")},
    }


def measure(stack: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of one stack."""
    launches, row, count = arguments.launches, arguments.row, arguments.drain
    found: dict[str, Any] = {}
    with running(stack):
        for title, location, job in JOBS:
            # The first one fills caches that are warm ever after.
            one_launch(stack, location, job)
            taken = [one_launch(stack, location, job) for _ in range(launches)]
            columns = zip(*taken, strict=True)
            for what, column in zip(("run start", "first step", "end"), columns, strict=True):
                found[f"{title}: {what}"] = statistics.median(column)
                print(f"  {title}: {what}: {[round(value, 2) for value in column]}", flush=True)
        found |= in_a_row(stack, row)
        found |= events(stack, arguments.loads) if arguments.loads else {}
        quiet(stack)
        found["idle memory of all containers, MiB"] = memory(stack)
        found |= {f"drain: {name}": value for name, value in drain(stack, count).items()}
    return found


def memory(stack: Stack) -> float:
    """What `docker stats` shows for the stack's containers, standby workers included."""
    ids = stack.compose("ps", "--quiet").split() + stack.run_containers()
    shown = stack.run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", *ids)
    units = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024, "B": 0}
    total = 0.0
    for line in shown.splitlines():
        text = line.partition("/")[0].strip()
        unit = next(unit for unit in units if text.endswith(unit))
        total += float(text.removesuffix(unit)) * units[unit]
    return total


def table(results: dict[str, dict[str, Any]]) -> str:
    """Rows of figures, and the speed-up over the baseline."""
    base = results["baseline"]
    lines = ["| | " + " | ".join(results) + " | speed-up |", "|---" * (len(results) + 2) + "|"]
    for row in base:
        values = [results[stack][row] for stack in results]
        better = values[1] / values[0] if "per_minute" in row else values[0] / values[1]
        cells = [f"{value:.2f}" if value < 100 else f"{value:.0f}" for value in values]
        lines.append(f"| {row.replace('_', ' ')} | " + " | ".join(cells) + f" | {better:.1f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--launches", type=int, default=9)
    parser.add_argument("--row", type=int, default=20)
    parser.add_argument("--drain", type=int, default=50)
    parser.add_argument("--loads", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="some of: baseline, standby, cold")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        stacks = {
            "baseline": baseline(),
            "standby": ours(Path(folder), standby=1),
            "cold": ours(Path(folder), standby=0),
        }
        for name, stack in stacks.items():
            if not arguments.only or name in arguments.only:
                print(name, flush=True)
                results[name] = measure(stack, arguments)
    print(json.dumps(results, indent=1))
    if len(results) == len(stacks):
        machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Linux {platform.release()}"
        text = table(results)
        print(f"\n{machine}\n\n{text}")
        content = {"machine": machine, "results": results}
        (REPOSITORY / "docs" / "launch-speed.json").write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
