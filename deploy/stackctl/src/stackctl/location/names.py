"""Which names a new code location may have."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from stackctl.errors import REFUSED, USAGE, StackctlError

LONGEST = 40
# An image's name takes one underscore between two letters or digits, and none at an end.
_FORM = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
_POSTGRES = {
    *("postgres", "public", "none", "user", "current_user", "session_user", "information_schema"),
    *("template0", "template1", "dagster", "dagster_run", "warehouse", "raw", "staging", "marts"),
    *("dagster_monitoring", "dagster_alerts"),
}
_HOSTS = {"localhost", "host", "ip6", "gateway", "default", "bridge", "none"}
_OURS = {
    *("stackctl", "control_plane", "embedded", "worker"),
    *(
        "tests",
        "src",
        "defs",
        "app",
        "home",
        "python",
        "code_locations",
        "packages",
        "deploy",
        "all",
    ),
    "live",
}
# Modules whose distribution has another name.
_MODULES = {
    *("attr", "dateutil", "dbt", "dotenv", "git", "google", "grpc", "jwt", "markdown_it"),
    *("pkg_resources", "pkgutil", "psycopg2", "yaml", "universal_pathlib", "upath", "_pytest"),
}


def check(name: str, compose: Mapping[str, Any], compose_text: str, root: Path) -> None:
    """Raise StackctlError that says what is wrong with a new location's name, and the fix.

    ``compose`` is docker-compose.yml as plain data, ``compose_text`` the same as text.
    """
    _check_form(name)
    reason = next(_reasons(name, compose, compose_text, root), None)
    if reason:
        raise StackctlError(f"{name!r} is taken: {reason}. Fix: another name", REFUSED)


def _check_form(name: str) -> None:
    if not name:
        raise StackctlError("which name? For example: make location NAME=marketing", USAGE)
    shown = repr(name if len(name) <= LONGEST else name[:LONGEST] + "...")
    if len(name) > LONGEST:
        raise StackctlError(
            f"{shown} has {len(name)} characters; at most {LONGEST} fit everywhere."
            " Fix: a shorter name",
            USAGE,
        )
    if not _FORM.fullmatch(name):
        raise StackctlError(
            f"{shown} cannot be the name of a code location, which is a Python package, an image"
            " and a role. Fix: a-z, 0-9 and single underscores between them, a letter first",
            USAGE,
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise StackctlError(f"{shown} is a word of Python's. Fix: another name", USAGE)


def _reasons(name: str, compose: Mapping[str, Any], compose_text: str, root: Path) -> Iterator[str]:
    yield from _reasons_in_the_stack(name, compose, compose_text)
    if (root / "code_locations" / name).exists():
        yield f"there is a folder code_locations/{name}"
    if (root / "packages" / name).exists():
        yield f"there is a shared package packages/{name}"
    if name in _OURS:
        yield "the project uses it itself"
    if name in sys.stdlib_module_names:
        yield "Python's standard library has a module of this name"
    if name in _MODULES or name in _installed(root):
        yield "an installed package has a module of this name"


def _reasons_in_the_stack(
    name: str, compose: Mapping[str, Any], compose_text: str
) -> Iterator[str]:
    names = {name, f"secrets_{name}", f"storage_{name}", f"rpc_{name}"}
    for kind in ("services", "networks", "volumes"):
        if found := names & set(compose[kind]):
            yield f"docker-compose.yml has {min(found)!r} among its {kind}"
    for setting in (f"{name.upper()}_IMAGE", f"{name.upper()}_MEMORY"):
        if f"${{{setting}" in compose_text:
            yield f"the setting {setting} means something else"
    if name in _POSTGRES or name.startswith("pg_"):
        yield "Postgres or the warehouse has a role, database or schema of this name"
    if name in _HOSTS:
        yield "hosts have this name"


def _installed(root: Path) -> set[str]:
    """Modules and packages that some location's environment or lock file has."""
    locks = (path.read_text() for path in root.glob("code_locations/*/uv.lock"))
    locked = {
        found.replace("-", "_")
        for text in locks
        for found in re.findall(r'^name = "([^"]+)"', text, re.MULTILINE)
    }
    places = root.glob("code_locations/*/.venv/lib/python*/site-packages/*")
    present = {path.name.removesuffix(".py") for path in places}
    return locked | present | set(packages_distributions())
