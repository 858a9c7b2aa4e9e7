"""How long runs are kept, from the settings RETENTION_*."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from control_plane.errors import StackError

SETTINGS = (
    "RETENTION_DAYS",
    "RETENTION_RUNS",
    "RETENTION_KEEP_LAST",
    "RETENTION_LOCATIONS",
    "RETENTION_HOUR",
)
# A lost run is retried for two days after its end (retries.py).
LEAST_DAYS = 3
DAYS = 365
RUNS = 20_000
LAST = 20
HOUR = 3
_MOST = 99_999


@dataclass(frozen=True)
class Rules:
    """The stack's rules; a location's own in ``locations``, by ``days`` and ``runs``.

    0: no limit. A job's own are tags of its runs, which Postgres reads.
    """

    days: int = DAYS
    """A run that ended longer ago goes."""
    runs: int = RUNS
    """Of one job, older ones go."""
    last: int = LAST
    """Of one job, so many stay, however old."""
    locations: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def rules_of(settings: Mapping[str, str]) -> Rules:
    """Rules from the environment. Raises StackError that names the setting and its value."""
    return Rules(
        days=_days("RETENTION_DAYS", settings.get("RETENTION_DAYS") or str(DAYS)),
        runs=_number("RETENTION_RUNS", settings.get("RETENTION_RUNS") or str(RUNS)),
        last=_number("RETENTION_KEEP_LAST", settings.get("RETENTION_KEEP_LAST") or str(LAST)),
        locations=_locations(settings.get("RETENTION_LOCATIONS") or ""),
    )


def hour_of(settings: Mapping[str, str]) -> int | None:
    """The hour (UTC) at which old history is removed each day; None when it is not."""
    text = settings.get("RETENTION_HOUR") or str(HOUR)
    if text == "off":
        return None
    if not re.fullmatch("[0-9]{1,2}", text) or int(text) > 23:
        raise StackError(
            f"RETENTION_HOUR is {text!r}: not an hour of the day."
            " Fix: set it to 0-23 (UTC) or off in .env."
        )
    return int(text)


def _locations(text: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for word in text.split():
        match = re.fullmatch(r"([A-Za-z0-9_]+)\.(days|runs)=([0-9]+)", word)
        if not match:
            raise StackError(
                f"RETENTION_LOCATIONS has {word!r}: not a rule of a code location."
                " Fix: write elt.days=30 or elt.runs=1000, with spaces between rules."
            )
        name, kind, value = match.groups()
        check = _days if kind == "days" else _number
        found.setdefault(name, {})[kind] = check(f"RETENTION_LOCATIONS: {name}.{kind}", value)
    return found


def _number(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]+", text) or int(text) > _MOST:
        raise StackError(
            f"{name} is {text!r}: not a whole number. Fix: set it to 0 (no limit) to {_MOST}."
        )
    return int(text)


def _days(name: str, text: str) -> int:
    days = _number(name, text)
    if 0 < days < LEAST_DAYS:
        raise StackError(
            f"{name} is {days}: a lost run may still be retried."
            f" Fix: set it to 0 (no limit), or to {LEAST_DAYS} or more."
        )
    return days
