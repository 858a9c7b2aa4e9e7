"""Refuse to start when a private name of Dagster or docker-py, which a feature needs, is gone.

Such a name may change in any release. A patch that silently does nothing is worse than a process
that does not start: it may be what keeps attackers out.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class Incompatible(SystemExit):
    """Ends the process with one line and status 1; ``except Exception`` does not catch it."""

    def __init__(self, package: str, problem: str, needed_by: str) -> None:
        distribution = package.replace("_", "-")
        super().__init__(
            f"error: {distribution} {_version(distribution)} {problem}, which {needed_by} needs."
            f" Fix: install the release of {distribution} that this stack's lock file names."
        )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Imports of private names. Raises Incompatible for one that fails."""
    try:
        yield
    except ImportError as error:
        module = error.name or "dagster"
        # "cannot import name 'X' from 'a.b' (/a/path)"
        missing = (error.msg or str(error)).partition(" (")[0]
        raise Incompatible(module.partition(".")[0], f"lacks a name: {missing}", what) from None


@dataclass(frozen=True)
class Hook:
    """A private attribute of a class or module, which we replace, override or call.

    ``parameters`` are the names of all its parameters, None for what is not a function.
    ``needed_by`` names the feature that is lost without it.
    """

    owner: type | ModuleType
    name: str
    parameters: tuple[str, ...] | None
    needed_by: str

    @property
    def path(self) -> str:
        """As it is written in an import and a lookup."""
        owner = self.owner
        if isinstance(owner, ModuleType):
            return f"{owner.__name__}.{self.name}"
        return f"{owner.__module__}.{owner.__qualname__}.{self.name}"

    def original(self) -> Any:
        """What the owner has. Raises Incompatible when that is not what we rely on."""
        package = self.path.partition(".")[0]
        try:
            found = getattr(self.owner, self.name)
        except AttributeError:
            raise Incompatible(package, f"has no {self.path}", self.needed_by) from None
        if self.parameters is not None:
            actual = tuple(inspect.signature(found).parameters) if callable(found) else ()
            if actual != self.parameters:
                problem = f"has {self.path}({', '.join(actual)})"
                expected = f"not {self.name}({', '.join(self.parameters)})"
                raise Incompatible(package, f"{problem}, {expected}", self.needed_by)
        return found

    def replace(self, replacement: Any, target: Any = None) -> None:
        """Put ours in its place: in the whole class or module, or in one object of the class."""
        self.original()
        setattr(target or self.owner, self.name, replacement)


def attribute(thing: Any, name: str, needed_by: str) -> Any:
    """A private attribute that objects get when they are made. Raises Incompatible without it."""
    try:
        return vars(thing)[name]
    except KeyError:
        kind = type(thing)
        path = f"{kind.__module__}.{kind.__qualname__}.{name}"
        package = kind.__module__.partition(".")[0]
        raise Incompatible(package, f"has no {path}", needed_by) from None
