"""Commands that hang, and what they leave behind, with real processes in place of containers'."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from stackctl import control_plane
from stackctl.control_plane import ControlPlane
from stackctl.docker import DockerError, docker, started
from stackctl.errors import StackctlError
from stackctl.stack import Stack
from stackctl.waiting import until

# As the engine does: what `docker exec` starts goes on when the command is killed.
DOCKER = """#!/bin/sh
case "$1" in
compose) echo webserver-1 ;;
exec) shift 2; setsid "$@" >"$OUT" 2>&1 </dev/null & wait $!; cat "$OUT" ;;
esac
"""
HANGS = """#!/bin/sh
echo $$ >"$PID"
exec sleep 600
"""


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control plane whose commands hang; the file in which they write their process id."""
    for name, script in (("docker", DOCKER), ("entrypoint", HANGS), ("cat", HANGS)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setenv("PID", str(tmp_path / "pid"))
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    return tmp_path / "pid"


def runs(pid: Path) -> bool:
    """Whether the process exists, and is not a zombie that nobody has waited for."""
    stat = Path(f"/proc/{pid.read_text().strip()}/stat")
    return stat.exists() and stat.read_text().split()[2] != "Z"


needs_linux = pytest.mark.skipif(
    not (shutil.which("setsid") and shutil.which("timeout")), reason="no setsid and timeout here"
)


@needs_linux
@pytest.mark.parametrize("command", ["ask", "served_by_daemon"])
def test_a_command_that_hangs_is_ended_on_both_sides(
    hanging: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(control_plane, "_ANSWER_S", 0.5)
    control = ControlPlane(Stack({"name": "s"}))
    with pytest.raises(StackctlError, match=r"it has not ended within 0.5 s"):
        control.ask("runs", "elt") if command == "ask" else control.served_by_daemon()
    assert until(lambda: not runs(hanging), 10, 0.05)


@needs_linux
def test_a_command_is_killed_with_what_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nsleep 600 & echo $! >pid; wait\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setattr("stackctl.docker.ROOT", tmp_path)
    pid = tmp_path / "pid"
    with started("container", "wait", "x"):
        assert until(lambda: pid.exists() and bool(pid.read_text()), 10, 0.01)
    assert until(lambda: not runs(pid), 10, 0.05)


def test_a_command_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    with pytest.raises(DockerError, match=r"docker image ls: it has not ended within 0.1 s"):
        docker("image", "ls", seconds=0.1)


def test_an_image_does_not_say_when_it_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each build has a new id on an engine with containerd's image store."""
    stand_in = tmp_path / "docker"
    stand_in.write_text('#!/bin/sh\necho "$BUILDX_NO_DEFAULT_ATTESTATIONS"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.delenv("BUILDX_NO_DEFAULT_ATTESTATIONS", raising=False)
    assert docker("compose", "build") == "1\n"
    monkeypatch.setenv("BUILDX_NO_DEFAULT_ATTESTATIONS", "0")
    assert docker("compose", "build") == "0\n"


def test_a_failure_has_what_both_streams_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose 2.26 writes the steps of a build, and so its cause, to stdout."""
    stand_in = tmp_path / "docker"
    stand_in.write_text("#!/bin/sh\necho SyntaxError; echo failed to solve >&2; exit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    with pytest.raises(DockerError, match="docker compose build: failed to solve") as failed:
        docker("compose", "build")
    assert failed.value.output == "SyntaxError\nfailed to solve\n"
