"""What the gate has against a release."""

from __future__ import annotations

from typing import Any

import pytest

from stackctl.gate import cause, objections, variables

GOOD: dict[str, Any] = {
    "control_plane": "1.13.27",
    "candidate": {
        "image": "s/elt:abc",
        "dagster": "1.13.27",
        "definitions": {"asset": {"orders": {}}},
        "variables": {"WAREHOUSE_PASSWORD": ["warehouse"]},
    },
    "live": {"definitions": {"asset": {"orders": {}, "users": {}}}},
    "clashes": [],
    "silent": [],
}
SET = ["WAREHOUSE_PASSWORD"]


def candidate(**changes: Any) -> dict[str, Any]:
    return GOOD | {"candidate": GOOD["candidate"] | changes}


def test_a_good_release_passes() -> None:
    assert objections(GOOD, SET) == []
    assert objections(GOOD | {"live": None}, SET) == []


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (candidate(dagster="1.14.0"), "Dagster 1.14.0, and the control plane with 1.13.27"),
        (candidate(dagster="2.0.1"), "Dagster 2.0.1, and the control plane with 1.13.27"),
        (candidate(definitions={"resource": {"w": {}}}), "what serves now has 2"),
        (candidate(definitions={}) | {"live": None}, "no asset, job, schedule or sensor"),
        (candidate(variables={"TOKEN": ["api", "mail"]}), "not set: TOKEN (for api, mail)"),
        (candidate(image=None), "does not name its image"),
    ],
)
def test_what_is_wrong_is_said(release: dict[str, Any], words: str) -> None:
    [objection] = objections(release, SET)
    assert words in objection


def clash(name: str, new: bool = True) -> dict[str, Any]:
    return {"kind": "asset", "name": name, "locations": ["analytics", "sales"], "new": new}


def test_what_another_location_has_is_named_and_needs_a_word() -> None:
    release = GOOD | {"clashes": [clash("users", new=False), clash("orders")]}
    [objection] = objections(release, SET)
    assert "too: asset orders (analytics, sales). Fix: " in objection
    assert "ALLOW_CLASH=1" in objection
    assert objections(release, SET, allow_clash=True) == []


def test_what_another_location_has_as_long_as_this_one_does_is_no_objection() -> None:
    assert objections(GOOD | {"clashes": [clash("orders", new=False)]}, SET) == []


def test_thousands_of_them_are_one_line() -> None:
    [objection] = objections(GOOD | {"clashes": [clash(f"a{n}") for n in range(5_000)]}, SET)
    assert "a9 (analytics, sales) and 4,990 more. Fix" in objection


@pytest.mark.parametrize("older", ["1.13.5", "1.12.9", "0.15.0", "1.13.99", None])
def test_an_older_dagster_is_served(older: str | None) -> None:
    assert objections(candidate(dagster=older), SET) == []


def test_a_secret_file_sets_its_variable() -> None:
    environment = ["A=1", "B_FILE=/run/secrets/b", "SSL_CERT_FILE=/etc/cert.pem"]
    assert variables(environment) == {"A", "B_FILE", "B", "SSL_CERT_FILE"}


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("Traceback\n  File y\nNameError: no x\n", "NameError: no x"),
        (
            "dagster._core.errors.DagsterImportError: outer\n\nThe above\nModuleNotFoundError: No"
            " module named 'nope'\nStack Trace:\n  File y\n",
            "ModuleNotFoundError: No module named 'nope'",
        ),
        ("RuntimeError: x\n\ndagster._core.errors.DagsterLoadError: y\n", "RuntimeError: x"),
        # What follows or precedes a name is not an exception's own line.
        ("ValueError: x\n  RuntimeErrors are described elsewhere\n", "ValueError: x"),
        ("KeyboardInterrupt\nbye\n\n", "KeyboardInterrupt"),
        (
            "Traceback (most recent call last):\n  File y\n    raise x(\n"
            "dagster._core.errors.DagsterInvalidDefinitionError: Duplicate job definition found for"
            " job 'sync_users_job'\n",
            "dagster._core.errors.DagsterInvalidDefinitionError: Duplicate job definition found for"
            " job 'sync_users_job'",
        ),
        ("dagster._core.errors.DagsterInvalid: y\n", "dagster._core.errors.DagsterInvalid: y"),
        ("entrypoint: X_FILE: cannot read it\n", "entrypoint: X_FILE: cannot read it"),
        ("something else\n\n", "something else"),
        ("", "it has written no log"),
    ],
)
def test_the_cause_of_an_end_is_one_line(log: str, expected: str) -> None:
    assert cause(log) == expected
