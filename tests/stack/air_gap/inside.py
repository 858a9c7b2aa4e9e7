"""Run by test_air_gap.py on a machine without a network: inside.py ARCHIVE FOLDER PROJECT

The engine has no image, and FOLDER nothing but the archive: all else comes from there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness import Stack
from runs import launch

_FILE = "code_locations/elt/src/elt/defs/jobs/sync_tables.py"
_JOB = """
query Job($location: String!, $job: String!) {
  pipelineOrError(params: {
    repositoryLocationName: $location, repositoryName: "__repository__", pipelineName: $job
  }) { ... on Pipeline { description } }
}"""


def say(text: str) -> None:
    print(f"---- {text}", flush=True)


def check_isolation() -> None:
    """No way to anywhere, and nothing in the engine."""
    assert not subprocess.run(["ip", "route", "show", "default"], capture_output=True).stdout
    images = ["docker", "image", "ls", "--all", "--quiet"]
    assert not subprocess.run(images, capture_output=True, check=True).stdout


def commands(archive: Path) -> str:
    """Those of the README in the archive."""
    read = ["tar", "-xOf", str(archive), "README.md"]
    text = subprocess.run(read, capture_output=True, text=True, check=True).stdout
    found = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert len(found) == 3, text
    return "\n".join(found)


def described(stack: Stack) -> str:
    found = stack.ask(_JOB, location="elt", job="sync_tables_job")["pipelineOrError"]
    return str(found["description"])


def main(archive: Path, folder: Path, project: str) -> None:
    check_isolation()
    own = {"COMPOSE_FILE": "docker-compose.yml", "COMPOSE_PROFILES": "", "STANDBY_WORKERS": "1"}
    stack = Stack(folder / "dagster", project=project, settings=own)
    # What packages there are on this machine is of no help.
    caches = {name: str(folder / name) for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR")}
    os.environ.update(caches)
    say("the README's commands")
    subprocess.run(
        ["bash", "-euxc", commands(archive)], cwd=folder, env=stack.environment, check=True
    )
    say("a run")
    launch(stack, "elt", "sync_tables_job").wait(seconds=180)
    webserver = stack.container("webserver")
    say("one line of elt is changed, and shipped")
    file = stack.folder / _FILE
    before = described(stack)
    assert before and file.read_text().count(before.splitlines()[0]) == 1, before
    file.write_text(file.read_text().replace(before.splitlines()[0], "Changed without a network."))
    print(stack.run("make", "deploy", "LOCATION=elt"))
    assert described(stack).startswith("Changed without a network."), described(stack)
    launch(stack, "elt", "sync_tables_job").wait(seconds=180)
    say("make up again builds that one, and restarts nothing")
    assert stack.run("deploy/stackctl/stackctl", "to-build").split() == ["elt"]
    print(stack.run("make", "up"))
    assert stack.container("webserver") == webserver
    assert described(stack).startswith("Changed without a network.")
    say("a rebuild of everything")
    print(stack.run("make", "build"))
    stack.run("make", "down")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
