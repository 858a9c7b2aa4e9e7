"""Instances with a storage of their own, for tests: a pytest plugin.

With `-p compose_run_launcher.testing` among pytest's options, tests have the fixtures `new_home`,
and `python`, which runs a program in a process that has imported Dagster already.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import runpy
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import IO, Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster import instance_for_test
from sqlalchemy import Engine, event

NewHome = Callable[[], str]
FORK = Path(__file__).with_name("testing_fork.py")
# They import most of what Dagster's commands do; not each project has the webserver.
PRELOADED = ("dagster", "dagster_docker", "dagster_webserver.cli")


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> NewHome:
    """A new folder for ``instance_for_test(temp_dir=...)``, with empty SQLite files in it.

    It is a copy: making the tables takes half a second.
    """
    template = tmp_path_factory.mktemp("instance")
    with instance_for_test(temp_dir=str(template)) as instance:
        # Its file of events is made with the first question.
        instance.get_asset_keys()
        instance.all_instigator_state()

    def copy() -> str:
        home: Path = tmp_path_factory.mktemp("home")
        return str(shutil.copytree(template, home, dirs_exist_ok=True))

    return copy


Completed = subprocess.CompletedProcess[str]


class Python:
    """Runs programs as `python -c` does, each in a process that has imported Dagster already."""

    def __init__(self, calls: IO[str], codes: IO[str], folder: Path) -> None:
        self._calls = calls
        self._codes = codes
        self._folder = folder

    def __call__(
        self,
        program: str,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Exit code and output; the environment is ours where none is given."""
        output = [self._folder / name for name in ("out", "err")]
        for file in output:
            file.write_text("")
        call = {
            "program": program,
            "arguments": arguments,
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "out": str(output[0]),
            "err": str(output[1]),
        }
        print(json.dumps(call), file=self._calls, flush=True)
        code = int(self._codes.readline())
        return Completed(["python"], code, *(file.read_text() for file in output))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Python]:
    """Runs programs as `python -W ignore -c` does, without the time that imports of Dagster take.

    For tests of what a program does, not of what it imports, or in which order.
    """
    preloaded = [name for name in PRELOADED if importlib.util.find_spec(name.partition(".")[0])]
    command = [sys.executable, "-W", "ignore", "-c", FORK.read_text(), *preloaded]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        if server.stdin is None or server.stdout is None or server.stdout.readline() != "ready\n":
            pytest.fail("the process that imports Dagster ended")
        yield Python(server.stdin, server.stdout, tmp_path_factory.mktemp("python"))
        server.stdin.close()


def dagster_here(
    command: Sequence[str], *, env: Mapping[str, str], **_options: object
) -> Completed:
    """What ``subprocess.run`` gives of ``python -m dagster ...``, in this process.

    Most of the 3 s of CPU that such a command takes is importing Dagster.
    """
    python, option, module, *arguments = command
    if (python, option) != (sys.executable, "-m"):
        pytest.fail(f"not a command of this Python: {command}")
    with (
        pytest.MonkeyPatch.context() as patched,
        redirect_stdout(StringIO()) as output,
        pytest.raises(SystemExit) as ended,
    ):
        for name, value in env.items():
            patched.setenv(name, value)
        patched.setattr(sys, "argv", [module, *arguments])
        runpy.run_module(module, run_name="__main__")
    code = ended.value.code
    return Completed(command, code if isinstance(code, int) else int(bool(code)), output.getvalue())


# What tests import makes hundreds of thousands of objects and no garbage: looking for some among
# them is a third of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and not in what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """What alembic knows of each folder of migrations.

    Each opening of an instance, and each run's file of events, would compile the 88 files of
    Dagster's again to find the newest: 0.24 of the 0.29 s of CPU that an instance takes.
    """
    read = ScriptDirectory.from_config
    known: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        if folder not in known:
            known[folder] = read(config)
        return known[folder]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ScriptDirectory, "from_config", from_config)
        yield


@event.listens_for(Engine, "connect")
def _forget_at_a_crash(connection: Any, _record: Any) -> None:
    """The storage of a test need not survive the machine."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")
