"""Filters of lists and event streams: only this stack's runs and code locations are shown."""

from __future__ import annotations

import json
import re
from typing import Any

from docker_gateway import labels
from docker_gateway.refusal import Refusal
from docker_gateway.strict_json import parse_object

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_EVENT = re.compile(r"[a-z_]+")


def containers(text: str, project: str, *, services: bool = False) -> str:
    """Filters for a list of containers: of runs, or of code locations, or of all ``services``."""
    asked = _parse(text, {"label", "name"})
    found = {"label": _labels(asked, project, services)}
    if "name" in asked:
        found["name"] = _matching("name", asked["name"], _NAME)
    return json.dumps(found)


def events(text: str, project: str, *, services: bool = False) -> str:
    """Filters for a stream of events, which are of containers as in lists."""
    asked = _parse(text, {"label", "type", "event"})
    if asked.get("type") != ["container"]:
        raise Refusal("it asks for more than containers' events")
    found = {"type": ["container"], "label": _labels(asked, project, services)}
    if "event" in asked:
        found["event"] = _matching("event", asked["event"], _EVENT)
    return json.dumps(found)


def _parse(text: str, known: set[str]) -> dict[str, list[str]]:
    found: dict[str, Any] = parse_object(text.encode()) if text else {}
    for name, asked in found.items():
        if name not in known:
            raise Refusal(f"filter {name[:50]} is not in use here")
        if not isinstance(asked, list) or not all(isinstance(each, str) for each in asked):
            raise Refusal(f"filter {name} is not a list of strings")
    return found


def _labels(asked: dict[str, list[str]], project: str, services: bool) -> list[str]:
    """The labels asked for, and those that leave only what the caller may see."""
    wanted = asked.get("label", [])
    if f"{labels.COMPOSE_PROJECT}={project}" in wanted:
        role = [] if services else [f"{labels.ROLE}={labels.ROLE_LOCATION}"]
        return _with(wanted, *role, f"{labels.COMPOSE_ONEOFF}=False")
    if f"{labels.STACK}={project}" in wanted and not services:
        return _with(wanted, f"{labels.ROLE}={labels.ROLE_RUN}")
    raise Refusal("it asks for other containers too")


def _with(wanted: list[str], *more: str) -> list[str]:
    return [*wanted, *(each for each in more if each not in wanted)]


def _matching(name: str, asked: list[str], pattern: re.Pattern[str]) -> list[str]:
    for each in asked:
        if not pattern.fullmatch(each):
            raise Refusal(f"filter {name} is not plain")
    return asked
