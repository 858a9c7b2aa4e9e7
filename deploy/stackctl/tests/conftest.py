"""docker-compose.yml without docker: unit tests run where there is none."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML


def resolve(text: str, root: Path) -> dict[str, Any]:
    """What `docker compose config` makes of a file's build sections, with default settings."""
    filled = re.sub(r"\$\{(\w+)(?::-([^{}]*))?\}", lambda found: found[2] or found[1], text)
    config: dict[str, Any] = YAML(typ="safe").load(io.StringIO(filled))
    for service in config["services"].values():
        if isinstance(build := service.get("build"), dict):
            build["context"] = os.path.normpath(root / build["context"])
            for name, folder in (build.get("additional_contexts") or {}).items():
                build["additional_contexts"][name] = os.path.normpath(root / folder)
    return config


@pytest.fixture(autouse=True)
def no_git_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a git hook these would name the repository that is committed to."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
