"""Instances with a storage of their own, for tests: a pytest plugin.

With `-p compose_run_launcher.testing` among pytest's options, tests have the fixture `new_home`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import instance_for_test

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
