"""What one release defines that another does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from stackctl.console import SHOWN

Definitions = Mapping[str, Mapping[str, Mapping[str, str]]]
"""{kind: {name: {field: fingerprint}}}, as `control-plane compare` prints them."""

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


@dataclass(frozen=True)
class Change:
    """One definition that is added, changed or removed."""

    kind: str
    name: str
    how: str
    fields: tuple[str, ...] = ()
    """What of it has changed."""

    def __str__(self) -> str:
        what = f" ({', '.join(self.fields)})" if self.fields else ""
        return f"{_SIGNS[self.how]} {self.kind} {self.name}{what}"

    def to_json(self) -> dict[str, Any]:
        """Plain data for machines."""
        return asdict(self)


def changes(before: Definitions, after: Definitions) -> list[Change]:
    """What turns ``before`` into ``after``, by kind and name."""
    found = []
    for kind in [*after, *(kind for kind in before if kind not in after)]:
        old, new = before.get(kind, {}), after.get(kind, {})
        for name in sorted(old.keys() | new.keys()):
            if name not in old:
                found.append(Change(kind, name, "added"))
            elif name not in new:
                found.append(Change(kind, name, "removed"))
            elif fields := _differing(old[name], new[name]):
                found.append(Change(kind, name, "changed", fields))
    return found


def shown(found: Iterable[Change]) -> list[tuple[str, str]]:
    """Lines for people, each with how it has changed: of each kind and way the first few."""
    lines = []
    for (kind, how), group in groupby(
        sorted(found, key=lambda one: one.how), key=lambda one: (one.kind, one.how)
    ):
        same = list(group)
        lines += [(how, str(one)) for one in same[:SHOWN]]
        if len(same) > SHOWN:
            lines.append((how, f"{_SIGNS[how]} and {len(same) - SHOWN:,} more {kind}s"))
    return lines


def count(definitions: Definitions) -> int:
    """How many definitions there are, resources aside: those do nothing by themselves."""
    return sum(len(found) for kind, found in definitions.items() if kind != "resource")


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))
