"""Which versions run, which the checkout has, and whether one may follow the other."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from stackctl.errors import USAGE, StackctlError

LOCK = "deploy/control_plane/uv.lock"


@dataclass(frozen=True)
class Versions:
    """Of Dagster and Postgres, such as 1.13.27 and 17.6; ``changed``: names of images."""

    dagster: str
    to_dagster: str
    postgres: str
    to_postgres: str
    changed: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changed and self.postgres == self.to_postgres


def locked(lock: Path) -> str:
    """Dagster's version in a lock file. Raises StackctlError."""
    try:
        packages = tomllib.loads(lock.read_text())["package"]
        return str(next(each["version"] for each in packages if each["name"] == "dagster"))
    except (OSError, tomllib.TOMLDecodeError, KeyError, StopIteration) as error:
        raise StackctlError(f"{LOCK} names no version of dagster: {error!r}") from None


def check_asked(to: str, checkout: str) -> None:
    """Raise StackctlError unless ``to``, if given, is the checkout's version of Dagster."""
    if not to:
        return
    if not re.fullmatch(r"\d+\.\d+\.\d+", to):
        raise StackctlError(f"TO is {to!r}: not a version. Fix: such as TO={checkout}", USAGE)
    if to != checkout:
        raise StackctlError(
            f"TO is {to}, and this checkout has Dagster {checkout} ({LOCK}). Fix: check out a"
            " release that has it, or set it in deploy/control_plane/pyproject.toml, then:"
            " deploy/tools/uv lock --project deploy/control_plane",
            USAGE,
        )


def check_direction(versions: Versions) -> None:
    """Raise StackctlError unless this is an upgrade, and one that this command can make."""
    if _numbers(versions.to_dagster) < _numbers(versions.dagster):
        raise StackctlError(
            f"Dagster {versions.dagster} runs, and this checkout has the older"
            f" {versions.to_dagster}. Fix: back to before an upgrade leads make upgrade-back"
        )
    if _numbers(versions.to_postgres)[:1] != _numbers(versions.postgres)[:1]:
        raise StackctlError(
            f"POSTGRES_IMAGE is Postgres {versions.to_postgres}, and the data are of"
            f" {versions.postgres}: another major version cannot read them. Fix: keep an image of"
            f" {_numbers(versions.postgres)[0]} in .env (docs/upgrading.md)"
        )
    if _numbers(versions.to_postgres) < _numbers(versions.postgres):
        raise StackctlError(
            f"POSTGRES_IMAGE is Postgres {versions.to_postgres}, and the newer {versions.postgres}"
            " runs. Fix: an image that is not older, in .env"
        )


def postgres_version(said: str) -> str:
    """The version in what `postgres --version` prints. Raises StackctlError."""
    found = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)*)", said)
    if not found:
        raise StackctlError(f"POSTGRES_IMAGE does not say its version: {said.strip()[:80]!r}")
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
