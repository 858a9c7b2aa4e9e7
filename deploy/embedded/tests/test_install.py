"""deploy/embedded/install with a stand-in for uv: what it says, and what it repairs."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from control_plane.errors import StackError

from embedded import packages
from embedded.locations import Location
from embedded.settings import repository
from embedded.waiting import wait_until

INDEX = "https://files.example.com"
WHEEL = f"{INDEX}/packages/d6/tenacity-9.2.1-py3-none-any.whl"
# As uv 0.13.9 prints it.
FAILURES = {
    "full": (
        "error: Failed to install: tenacity-9.2.1-py3-none-any.whl (tenacity==9.2.1)\n"
        "  cause: Failed to copy to `/x/.venv/lib/RECORD`\n"
        "  cause: failed to copy file from /a to /b: No space left on device (os error 28)\n",
        r"the disk of .* is full. Fix: free some space, then run this again\.",
    ),
    "refused": (
        "error: Failed to download `tenacity==9.2.1`\n"
        f"  cause: Failed to fetch: {WHEEL}\n"
        f"  cause: error sending request for url ({WHEEL})\n"
        "  cause: client error (Connect)\n"
        "  cause: tcp connect error\n"
        "  cause: Connection refused (os error 111)\n"
        "\n"
        "hint: `tenacity` (v9.2.1) was included because `elt` (v0.1.0) depends on `tenacity`\n",
        rf"{INDEX}, where tenacity==9.2.1 is, cannot be reached \(Connection refused \(os error"
        r" 111\)\). Fix: check the network, or set HTTPS_PROXY, then run this again\.",
    ),
    "missing": (
        "error: Failed to download `tenacity==9.2.1`\n"
        f"  cause: Failed to fetch: {WHEEL}\n"
        f"  cause: HTTP status client error (404 File not found) for url ({WHEEL})\n",
        rf"{INDEX} answered for tenacity==9.2.1: 404 File not found. Fix: check the package index",
    ),
    "changed": (
        "error: Failed to download `tenacity==9.2.1`\n"
        "  cause: Hash mismatch for `tenacity==9.2.1`\n"
        "\n         Expected:\n           sha256:0000\n",
        r"what was downloaded for tenacity==9.2.1 is not what the lock file names",
    ),
    "lacking": (
        "  cause: Because tenacity was not found in the provided package locations\n"
        "error: the wheels of the bundle are not all that uv.lock names. Fix: another bundle\n",
        r"the wheels of the bundle are not all that uv\.lock names\. Fix: another bundle, then run",
    ),
    "another": (
        "error: Failed to download `tenacity==9.2.1`\n  cause: something new\n",
        r"tenacity==9.2.1: something new. Fix: ",
    ),
}
# Fails until a sync has passed; a sync waits for a file, and says what another one holds.
UV = """#!/bin/sh
case "$*" in
--version) echo 0 ;;
*--check*) [ -e "$3/.venv/whole" ] ;;
*)
	mkdir -p "$3/.venv"
	touch "$3/.venv/begun"
	while [ ! -e "$3/go" ]; do /bin/sleep 0.05; done
	cat "$3/said" >&2 2>/dev/null && exit 2
	touch "$3/.venv/whole"
	;;
esac
"""


@pytest.fixture
def elt(tmp_path: Path) -> Location:
    folder = tmp_path / "code_locations" / "elt"
    folder.mkdir(parents=True)
    (folder / "go").touch()
    return Location("elt", folder, "elt.definitions")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("deploy/embedded", "deploy/tools", ".tools", "bin"):
        (tmp_path / name).mkdir(parents=True)
    # It says that it is at work each time that it has slept.
    for path, text in (("deploy/tools/uv", UV), ("bin/sleep", "#!/bin/sh\nexec /bin/sleep 0.1\n")):
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    script = tmp_path / "deploy" / "embedded" / "install"
    shutil.copy(repository().install, script)
    shutil.copy(repository().install.parents[1] / "tools/sync", tmp_path / "deploy/tools")
    yield script
    for process in psutil.process_iter():
        try:
            if str(tmp_path) in " ".join(process.cmdline()):
                process.kill()
        except psutil.Error:
            continue


def begin(install: Path, elt: Location) -> "subprocess.Popen[str]":
    """Start an install that waits for the file `go`."""
    return subprocess.Popen(
        [install, elt.folder, "the packages of elt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_names_its_cause_in_one_line(install: Path, elt: Location, name: str) -> None:
    said, expected = FAILURES[name]
    (elt.folder / "said").write_text(said)
    with pytest.raises(StackError, match=f"^the packages of elt cannot be installed: .*{expected}"):
        packages.sync(install, [elt])


def test_an_install_says_that_it_is_at_work_and_once_done_nothing(
    install: Path, elt: Location, capfd: pytest.CaptureFixture[str]
) -> None:
    (elt.folder / "go").unlink()
    running = begin(install, elt)
    assert running.stdout is not None
    assert running.stdout.readline() == "Installing the packages of elt from the lock file\n"
    assert running.stdout.readline() == "… the packages of elt (5 s so far)\n"
    (elt.folder / "go").touch()
    running.communicate()
    assert running.returncode == 0
    packages.sync(install, [elt])
    assert capfd.readouterr().out == ""


def test_nothing_of_an_install_outlives_it(install: Path, elt: Location) -> None:
    sleep = install.parents[2] / "bin" / "sleep"
    sleep.write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    packages.sync(install, [elt])
    left = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[1:] == ["600"] and str(sleep.parent) in process.environ()["PATH"]:
                left.append(process)
        except (psutil.Error, KeyError):
            continue
    for process in left:
        process.kill()
    assert left == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_install_that_was_cut_off_is_done_anew(
    install: Path, elt: Location, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    (elt.folder / "go").unlink()
    running = begin(install, elt)
    assert wait_until((elt.folder / ".venv" / "begun").exists, 20)
    os.killpg(running.pid, number)
    running.communicate()
    # What uv would now take for a whole one.
    half = elt.folder / ".venv" / "half"
    half.touch()
    (elt.folder / ".venv" / "whole").touch()
    (elt.folder / "go").touch()
    packages.sync(install, [elt])
    assert "Installing the packages of elt again: the last install was cut off" in (
        capfd.readouterr().out
    )
    assert not half.exists()
    packages.sync(install, [elt])
    assert "again" not in capfd.readouterr().out


def test_a_second_install_waits_for_the_first(
    install: Path, elt: Location, capfd: pytest.CaptureFixture[str]
) -> None:
    (elt.folder / "go").unlink()
    first = begin(install, elt)
    assert wait_until((elt.folder / ".venv" / "begun").exists, 20)
    second = begin(install, elt)
    assert second.stdout is not None
    assert second.stdout.readline() == "… the packages of elt (5 s so far)\n"
    (elt.folder / "go").touch()
    first.communicate()
    assert "nstalling" not in second.communicate()[0]
    assert (first.returncode, second.returncode) == (0, 0)
