"""How fast a one-line change is live: by Compose alone, and by a gated deployment.

    bench/run ship_speed [--changes 5]

Prints a table, and writes it to docs/ship-speed.json. Seconds from the command's start until the
webserver serves the new code, medians; both in one stack, one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import Ours, ours, quiet, running

from harness import REPOSITORY, until

_SOURCE = "code_locations/elt/src/elt/__init__.py"
_COMPOSE = ["docker", "compose", "up", "--detach", "--build", "elt"]
_DEPLOY = ["deploy/stackctl/stackctl", "deploy", "elt"]
_IMAGE = """{ workspaceLocationEntryOrError(name: "elt") { ... on WorkspaceLocationEntry {
  locationOrLoadError { ... on RepositoryLocation { repositories {
    displayMetadata { key value } } } } } } }"""


def image(stack: Ours) -> str:
    """The image that the webserver serves elt from; empty while it does not."""
    entry = stack.ask(_IMAGE)["workspaceLocationEntryOrError"]["locationOrLoadError"]
    repositories = (entry or {}).get("repositories") or []
    values = [pair for found in repositories for pair in found["displayMetadata"]]
    return "".join(pair["value"] for pair in values if pair["key"] == "image")


def one_change(stack: Ours, command: list[str], line: str) -> tuple[float, float]:
    """Seconds until a changed line is live, and until the command has ended."""
    quiet(stack)
    before = image(stack)
    with (stack.folder / _SOURCE).open("a") as source:
        source.write(f"# {line}\n")
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def other() -> float:
        assert image(stack) not in {before, ""}
        return time.monotonic() - began

    live = until(other, seconds=120, every=0.1)
    _, problem = process.communicate()
    assert process.returncode == 0, problem
    return live, time.monotonic() - began


def measure(stack: Ours, changes: int) -> dict[str, dict[str, float]]:
    """Medians by command: until live, until it has ended."""
    seen: dict[str, list[tuple[float, float]]] = {"compose": [], "deploy": []}
    # The first deployment makes stackctl's environment.
    one_change(stack, _DEPLOY, "first")
    for number in range(changes):
        for name, command in (("compose", _COMPOSE), ("deploy", _DEPLOY)):
            seen[name].append(one_change(stack, command, f"{name} {number}"))
            print(f"{name}: live after {seen[name][-1][0]:.1f} s", file=sys.stderr)
    return {
        name: {
            "live_s": round(statistics.median(live for live, _ in found), 2),
            "ended_s": round(statistics.median(ended for _, ended in found), 2),
        }
        for name, found in seen.items()
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--changes", type=int, default=5, help="per command (default 5)")
    changes = parser.parse_args().changes
    with tempfile.TemporaryDirectory() as folder:
        stack = ours(Path(folder), standby=1)
        with running(stack):
            medians = measure(stack, changes)
    ratio = round(medians["deploy"]["live_s"] / medians["compose"]["live_s"], 2)
    result = {"cpus": os.cpu_count(), "changes": changes, **medians, "ratio_live": ratio}
    (REPOSITORY / "docs/ship-speed.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, found in medians.items():
        print(
            f"{name:8} live after {found['live_s']:5.2f} s, ended after {found['ended_s']:5.2f} s"
        )
    print(f"deploy / compose until live: {ratio}")


if __name__ == "__main__":
    main()
