"""Instances with a storage of their own, for tests: a pytest plugin.

With `-p compose_run_launcher.testing` among pytest's options, tests have the fixture `new_home`.
"""

from __future__ import annotations

import gc
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster import instance_for_test
from sqlalchemy import Engine, event

NewHome = Callable[[], str]


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
