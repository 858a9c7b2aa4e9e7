"""What a check says, and the list of all checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from stackctl.errors import StackctlError
from stackctl.mode import DOCKER, EMBEDDED

if TYPE_CHECKING:
    from stackctl.doctor.facts import Facts


class Level(IntEnum):
    """How bad it is; the highest one of all findings decides about the exit status."""

    OK = 0
    SKIPPED = 1
    """It could not be looked at; the evidence says why."""
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    level: Level
    evidence: str
    fix: str = ""
    """The command, or what to change."""


def ok(evidence: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, evidence)


def warning(evidence: str, fix: str) -> Finding:
    """Works, and should not stay so."""
    return Finding(Level.WARNING, evidence, fix)


def error(evidence: str, fix: str) -> Finding:
    """Does not work, or is about to stop working."""
    return Finding(Level.ERROR, evidence, fix)


class NotApplicableError(Exception):
    """There is nothing that this check could look at; says why."""


Look = Callable[["Facts"], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """A check: its name, its group, what looks, and the modes in which it makes sense."""

    name: str
    group: str
    look: Look
    modes: frozenset[str]


@dataclass(frozen=True)
class Result:
    """What one check found, at least one thing."""

    name: str
    group: str
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """That of the worst finding."""
        return max(one.level for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain data for machines."""
        findings = [asdict(one) | {"level": one.level.name.lower()} for one in self.findings]
        level = self.level.name.lower()
        return {"check": self.name, "group": self.group, "level": level, "findings": findings}


CHECKS: list[Check] = []
GROUPS = ("Machine", "Network", "Configuration", "Services", "Dagster")
"""In the order in which they are made and shown."""


def check(name: str, group: str, modes: Iterable[str] = (DOCKER,)) -> Callable[[Look], Look]:
    """Add a function to the checks. It yields findings; the first is of no higher rank."""

    def add(look: Look) -> Look:
        CHECKS.append(Check(name, group, look, frozenset(modes)))
        return look

    return add


BOTH = (DOCKER, EMBEDDED)


def run(facts: Facts, checks: Iterable[Check]) -> Iterator[Result]:
    """Make those checks that make sense in the mode. One that fails hinders no other."""
    for one in sorted(checks, key=lambda one: GROUPS.index(one.group)):
        if facts.mode in one.modes:
            yield Result(one.name, one.group, _findings(one, facts))


def _findings(one: Check, facts: Facts) -> tuple[Finding, ...]:
    try:
        return tuple(one.look(facts)) or (ok("nothing found"),)
    except NotApplicableError as why:
        return (Finding(Level.SKIPPED, str(why)),)
    except StackctlError as why:
        evidence, _, fix = str(why).partition(" Fix: ")
        return (Finding(Level.SKIPPED, evidence, fix),)
    except Exception as problem:  # the other checks are worth more than a traceback
        return (
            warning(
                f"the check itself failed: {type(problem).__name__}: {problem}",
                "report it, with the archive of make doctor BUNDLE=1",
            ),
        )
