"""Pages of the user interface, and retention, on a database with years of history.

    bench/run history_speed [--runs 50000] [--repeat 7] [--docs docs]

Makes a Postgres of its own with runs that Dagster has executed, repeated by SQL, twenty events
each. Asks the queries of the installed user interface, removes what is older than a year, and asks
again; meanwhile it creates runs and measures how long that takes. Prints tables; writes
history-speed.json and the tables of retention.md in the folder of --docs.
"""

from __future__ import annotations

import os
import subprocess
import sys

from harness import REPOSITORY

CONTROL_PLANE = REPOSITORY / "deploy" / "control_plane"


def main() -> int:
    """Run in the control plane's environment, which has Dagster and its webserver."""
    sync = [REPOSITORY / "deploy/tools/uv", "sync", "--quiet", "--frozen"]
    subprocess.run([*sync, "--project", CONTROL_PLANE], check=True)
    paths = (
        REPOSITORY / "bench" / "history_speed",
        REPOSITORY / "bench",
        CONTROL_PLANE / "tests" / "database",
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    python = CONTROL_PLANE / ".venv" / "bin" / "python"
    command = [python, "-m", "measure", *sys.argv[1:]]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
