"""Bodies with two readings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from engine_stand_in import EngineStandIn, refused
from shop import Answer, Caller

Body = dict[str, Any]


def texts(body: Body) -> dict[str, str]:
    """The body in ways that two readers may read in two ways."""
    good = json.dumps(body)
    bad = json.dumps({**body["HostConfig"], "Privileged": True})
    return {
        "two keys of one name, the good one first": f'{good[:-1]}, "HostConfig": {bad}}}',
        "two keys of one name, the bad one first": f'{{"HostConfig": {bad}, {good[1:]}',
        "the second key is escaped": f'{good[:-1]}, "Host\\u0043onfig": {bad}}}',
        "a key within, twice": good.replace(
            '"Privileged": false', '"Privileged": false, "Privileged": true'
        ),
        "a second value after the first": f'{good} {{"HostConfig": {bad}}}',
        "a byte order mark": f"\ufeff{good}",
        "a comment": good.replace("{", "{/*", 1) + "*/",
        "a comma before the end": f"{good[:-1]},}}",
        "a list": f"[{good}]",
        "cut off": good[:-10],
        "too deep": f'{good[:-1]}, "a": {"[" * 40}{"]" * 40}}}',
        "far too deep": f'{good[:-1]}, "a": {"[" * 90_000}{"]" * 90_000}}}',
        "a number that is none": good.replace('"Memory": ', '"Memory": NaN, "x": '),
        "a number with a fraction": good.replace('"Memory": ', '"Memory": 1.0, "x": '),
        "a number of many digits": good.replace('"Memory": ', f'"Memory": {"9" * 5000}, "x": '),
        "half a character": good.replace('"work"', '"\\ud800"'),
        "nothing": "",
    }


@pytest.mark.parametrize("way", texts({"HostConfig": {"Privileged": False}}))
def test_no_body_with_two_meanings(
    daemon: Caller, engine: EngineStandIn, body: Body, send: Callable[..., Answer], way: str
) -> None:
    refused(engine, send(daemon, texts(body)[way].encode()))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_no_body_in_another_encoding(
    daemon: Caller, engine: EngineStandIn, body: Body, send: Callable[..., Answer], encoding: str
) -> None:
    body["Cmd"] = ["ü"]
    refused(engine, send(daemon, json.dumps(body, ensure_ascii=False).encode(encoding)))


@pytest.mark.parametrize("size", [200_001, 5_000_000])
def test_no_body_that_is_too_large(
    daemon: Caller, engine: EngineStandIn, body: Body, send: Callable[..., Answer], size: int
) -> None:
    body["Cmd"] = ["x" * size]
    refused(engine, send(daemon, json.dumps(body).encode()), 413)
