"""What `make ps` shows beside the services."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from stackctl.docker import ROOT

# Answers what Docker's command would: these are its own words for one listing.
STAND_IN = r"""#!/bin/sh
case "$*" in
--version | "version "* | "compose version"*) echo 28.2.2 ;;
"compose config") echo "name: shop" ;;
"compose ps --all") echo "NAME  IMAGE" ;;
"ps --all --filter label=compose_run_launcher.project=shop --filter label=compose_run_launcher.role=run "*)
  printf "$LISTED" ;;
*) echo "not known here: $*" >&2; exit 1 ;;
esac
"""  # noqa: E501
RUN = "0c4a2379-61bd-4cea-8efd-1d7de1290136"
FORMER = "a0eff02c-f280-45ee-a356-ec951e1db302"


def shown(tmp_path: Path, *listed: str) -> list[str]:
    """The lines after the services."""
    docker = tmp_path / "docker"
    docker.write_text(STAND_IN)
    docker.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "LISTED": "".join(f"{x}\n" for x in listed)}
    bash = shutil.which("bash") or "bash"
    done = subprocess.run(
        [bash, str(ROOT / "deploy/stackctl/ps")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    services, _, runs = done.stdout.partition("\n\n")
    assert services == "NAME  IMAGE"
    return runs.splitlines()


def test_each_container_with_its_location_and_its_run(tmp_path: Path) -> None:
    """A standby worker that got a run has its name, and none of its labels."""
    lines = shown(
        tmp_path,
        "elt|shop-standby-elt-ede7147337af||Up 45 seconds",
        f"elt|shop-run-{RUN}||Up 5 minutes",
        f"analytics|shop-run-{FORMER}-after-ede7147337af|tick_job|Exited (1) 9 seconds ago",
    )
    assert [line.split() for line in lines] == [
        ["LOCATION", "RUN", "JOB", "CONTAINER"],
        ["analytics", FORMER, "tick_job", "Exited", "(1)", "9", "seconds", "ago"],
        ["elt", RUN, "Up", "5", "minutes"],
        ["elt", "none:", "waits", "for", "one", "Up", "45", "seconds"],
    ]


def test_without_any(tmp_path: Path) -> None:
    assert shown(tmp_path) == ["No run is in a container, and no standby worker waits."]
