"""What an alerts.yaml says, and what is wrong in it.

A location's file is not trusted: YAML aliases and deep nesting are refused, and what is wrong is
said in lines of text.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

# PyYAML takes quadratic time for what is nested; these files have four levels.
_DEEPEST = 20
STACK = ""
"""In the place of a location's name: the stack's own."""
# What this service sees by itself, with a cause.
INSTEAD_OF = {"JobFailing": "RunFailed", "DatabaseAway": "PostgresAway"}

Severity = Literal["info", "warning", "critical"]
SEVERITIES = ("info", "warning", "critical")
_Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]+$")]
_Patterns = Annotated[list[_Line], Field(max_length=100)]


class SettingsError(Exception):
    """What is wrong in a file: the file, the line, the value and the fix."""


def _minutes(value: Any) -> Any:
    # YAML 1.1 reads 22:00 without quotes as a number of base 60: minutes.
    if type(value) is int and 0 <= value < 24 * 60:
        return time(*divmod(value, 60))
    return value


def _of_no_zone(value: time) -> time:
    if value.tzinfo or value.second:
        raise ValueError("a time such as 22:00, whose zone is in time_zone")
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError("no time zone has this name, which is one such as Europe/Berlin") from None
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Time = Annotated[time, BeforeValidator(_minutes), AfterValidator(_of_no_zone)]


class Rule(_Strict):
    """Of one condition: another severity, and the jobs and assets that it is about."""

    severity: Severity | None = None
    jobs: _Patterns = ["*"]
    assets: _Patterns = ["*"]


class RunLong(Rule):
    """A run is long above ``factor`` times the median of its job, and these minutes."""

    factor: Annotated[float, Field(gt=1, le=1000)] = 3
    at_least_minutes: Annotated[float, Field(ge=1, le=10_000)] = 10


class QuietHours(_Strict):
    """When only what is critical is told."""

    begin: _Time = Field(alias="from")
    end: _Time = Field(alias="to")
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = "UTC"

    def contain(self, moment: datetime) -> bool:
        """Whether they are at this moment; they may go over midnight."""
        now = moment.astimezone(ZoneInfo(self.time_zone)).time()
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end


class Settings(_Strict):
    """One alerts.yaml. Without ``channels`` all that were stored for it are used."""

    owner: _Line
    channels: Annotated[list[_Line], Field(max_length=20)] | None = None
    severity: Severity = "info"
    quiet_hours: QuietHours | None = None
    reminder_hours: Annotated[float, Field(ge=1, le=24 * 30)] = 24
    conditions: Any = None

    def rule(self, name: str) -> Rule | None:
        """Of a condition; None: it is turned off."""
        default = RunLong() if name == "RunLong" else Rule()
        rule: Rule | None = getattr(self.conditions, name, default)
        return rule

    def wants(self, name: str, job: str, asset: str) -> bool:
        """Whether it asks for this condition of this job or asset; empty: of none."""
        rule = self.rule(name)
        return rule is not None and all(
            not text or any(fnmatchcase(text, pattern) for pattern in patterns)
            for text, patterns in ((job, rule.jobs), (asset, rule.assets))
        )


@lru_cache
def _model(conditions: tuple[str, ...]) -> type[Settings]:
    def rule(name: str) -> Any:
        kind = RunLong if name == "RunLong" else Rule
        turned_off = BeforeValidator(lambda value: None if value is False else value)
        return (Annotated[kind | None, turned_off], kind())

    fields: dict[str, Any] = {name: rule(name) for name in conditions}
    known = create_model("Conditions", __base__=_Strict, **fields)
    return create_model("Settings", __base__=Settings, conditions=(known, known()))


def parse(text: str, name: str, conditions: Collection[str], channels: Collection[str]) -> Settings:
    """Read a file's text; ``name`` is shown. Raises SettingsError with all that is wrong."""
    found = _parsed(text, name, tuple(conditions), tuple(sorted(channels)))
    if isinstance(found, str):
        raise SettingsError(found)
    return found


@lru_cache
def _parsed(
    text: str, name: str, conditions: tuple[str, ...], channels: tuple[str, ...]
) -> Settings | str:
    """The same once for each text, as files are read at each look; or what is wrong."""
    try:
        return _read(text, name, conditions, channels)
    except SettingsError as error:
        return str(error)


def _read(text: str, name: str, conditions: tuple[str, ...], channels: tuple[str, ...]) -> Settings:
    try:
        _check_events(name, text)
        node = yaml.compose(text, yaml.SafeLoader)
        found = _model(conditions).model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "it cannot be read"
        raise SettingsError(f"{name}{line} is not YAML: {what}. Fix: correct it") from None
    except ValidationError as error:
        lines = [_described(name, node, each) for each in error.errors()[:10]]
        raise SettingsError("\n".join(lines)) from None
    for index, channel in enumerate(found.channels or ()):
        if channel not in channels:
            at = _line(node, ("channels", index))
            known = ", ".join(channels) or "none"
            raise SettingsError(
                f"{name}:{at}: channels: {_shown(channel)} is not a channel of its own; there"
                f" are: {known}. Fix: make alert-channel NAME={_shown(channel)[1:-1]}, or another"
                " name"
            )
    return found


def _check_events(name: str, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise SettingsError(f"{name} has a YAML alias (*name). Fix: write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise SettingsError(f"{name} is nested too deeply. Fix: see docs/alerts.md")


def _described(name: str, node: Any, error: Any) -> str:
    key = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        what, fix = "an unknown key", "remove it; docs/alerts.md lists the keys"
    else:
        message = error["msg"].removeprefix("Value error, ")
        what, fix = f"{_shown(error['input'])}: {message}", "change it; see docs/alerts.md"
    return f"{name}:{_line(node, error['loc'])}: {key}: {what}. Fix: {fix}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _line(node: Any, keys: tuple[int | str, ...]) -> int:
    """Where the deepest of the nested keys is that the text has."""
    line = node.start_mark.line if node else 0
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            node = node.value[key]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(key)]
            if not found:
                break
            line, node = found[0][0].start_mark.line, found[0][1]
    return int(line) + 1
