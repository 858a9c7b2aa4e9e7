"""Where each alerts.yaml is: the stack's own, and one of each code location, its owners' text.

A location's file is not trusted: it is read up to a size and without following links, and a mistake
in it stops no other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from stack_alerts.settings import INSTEAD_OF, STACK, Settings, SettingsError, parse

LARGEST_FILE = 16 * 1024
OF_RUNS = ("RunFailed", "RunLong")
OF_THE_SERVICE = ("PostgresAway", "PrometheusAway", "AlertsFile")


def read(path: Path, name: str) -> str | None:
    """A file's text, None without one. Raises SettingsError for anything but a plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(
            f"{name} cannot be read: {error.strerror}. Fix: make it a plain file that everybody"
            " may read"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SettingsError(f"{name} is not a plain file. Fix: make it one")
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise SettingsError(f"{name} is larger than {LARGEST_FILE} bytes. Fix: shorten it")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SettingsError(f"{name} is not UTF-8. Fix: save it as UTF-8") from None


@dataclass(frozen=True)
class Files:
    """All that was read. ``problems``: of a location whose file is not used, why."""

    stack: Settings
    locations: Mapping[str, Settings] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def audience(self, location: str) -> str:
        """Who is told of what happens to a location: itself, or STACK."""
        return location if location in self.locations else STACK

    def of(self, audience: str) -> Settings:
        """An audience's settings."""
        return self.locations.get(audience, self.stack)


def rule_names(rules: Path) -> tuple[str, ...]:
    """The conditions that a file may name: Prometheus' rules and our own."""
    groups = yaml.safe_load(rules.read_text())["groups"]
    names = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    seen_here = (*OF_RUNS, *OF_THE_SERVICE)
    return tuple(name for name in (*names, *seen_here) if name not in INSTEAD_OF)


@dataclass(frozen=True)
class Places:
    """Where files are, and how to learn the channels of an audience."""

    stack: Path
    locations: Path
    rules: Path

    def load(self, channels: Mapping[str, Collection[str]]) -> Files:
        """Read all. Raises SettingsError for the stack's own file alone."""
        conditions = rule_names(self.rules)
        name = "deploy/alerts/alerts.yaml"
        text = read(self.stack, name)
        if text is None:
            raise SettingsError(f"{name} is missing. Fix: git checkout {name}")
        stack = parse(text, name, conditions, channels.get(STACK, ()))
        found, problems = {}, {}
        folders = sorted(self.locations.iterdir()) if self.locations.is_dir() else []
        for folder in (each for each in folders if each.is_dir() and not each.is_symlink()):
            name = f"code_locations/{folder.name}/alerts.yaml"
            try:
                text = read(folder / "alerts.yaml", name)
                if text is not None:
                    found[folder.name] = parse(
                        text, name, conditions, channels.get(folder.name, ())
                    )
            except SettingsError as error:
                problems[folder.name] = str(error)
        return Files(stack, found, problems)
