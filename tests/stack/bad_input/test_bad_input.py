"""What goes wrong is said in words, stops nothing else, and heals when it is put right."""

from __future__ import annotations

import pytest

from harness import FINAL, Stack, until
from landing import put
from runs import Begun, Run, imports, launch, load


@pytest.mark.long
def test_a_bad_number_is_named_and_the_table_stays(stack: Stack) -> None:
    original = stack.folder / "code_locations/elt/src/elt/defs/data/products.csv"
    content = original.read_text(encoding="utf-8")
    launch(stack, "elt", "sync_tables_job").wait()
    before = stack.sql("SELECT * FROM raw.products ORDER BY 1")
    assert len(before) == len(content.splitlines()) - 1
    put(stack, "products.csv", "\n".join([*content.splitlines()[:3], "x9,Name,kitchen,,100,", ""]))
    try:
        run = launch(stack, "elt", "sync_tables_job")
        run.wait("FAILURE")
    finally:
        put(stack, "products.csv", content)
    text = run.text()
    for word in ("products.csv", "line 4", "product_id", "x9"):
        assert word in text, word
    assert stack.sql("SELECT * FROM raw.products ORDER BY 1") == before


@pytest.mark.long
def test_a_wrong_password_names_all_but_the_password(stack: Stack) -> None:
    files = stack.environment["COMPOSE_FILE"]
    (stack.folder / "wrong.yml").write_text(
        "services: {elt: {environment: "
        "{WAREHOUSE_PASSWORD_FILE: /run/secrets/object_store_access_key}}}"
    )
    read = "cat /run/secrets/object_store_access_key"
    wrong = stack.compose("exec", "-T", "elt", "sh", "-c", read).strip()
    stack.settings["COMPOSE_FILE"] = f"{files}:wrong.yml"
    try:
        stack.compose("up", "--detach", "--wait", "--no-deps", "elt")
        run = launch(stack, "elt", "sync_tables_job")
        run.wait("FAILURE")
        text = run.text()
        for word in ("postgres", "5432", "warehouse", "password authentication failed"):
            assert word in text, word
        assert wrong not in text
    finally:
        del stack.settings["COMPOSE_FILE"]
        stack.compose("up", "--detach", "--wait", "--no-deps", "elt")


def test_a_location_that_raises_at_import_stops_nothing_else(stack: Stack, begun: Begun) -> None:
    # What the session's start has launched is of this location, and imports it.
    until(lambda: has_imported(begun.never_starts), seconds=60)
    for run in (begun.succeeded, begun.stale):
        run.wait()
    begun.failed.wait("FAILURE")
    # Its module is mounted: no image is built for this.
    module = stack.folder / "tests/stack/location/scenarios.py"
    original = module.read_text()
    module.write_text(f'{original}\nraise RuntimeError("the flux capacitor is missing")\n')
    try:
        stack.compose("restart", "scenarios")
        shown = stack.run("make", "up", check=False)
        assert "the flux capacitor is missing" in shown
        assert "error: the stack is up in part" in shown
        assert "Traceback" not in shown
        assert "  File " not in shown
        load(stack, "customers").wait()
    finally:
        module.write_text(original)
        stack.compose("restart", "scenarios")
    # The control plane finds out by itself. A launch while the server still starts is refused.
    until(lambda: launch(stack, "scenarios", "tick_job"), seconds=90, every=1).wait()


def has_imported(run: Run) -> None:
    """Raises AssertionError while it is to come to its import yet."""
    if run.status not in FINAL:
        imports(run)


@pytest.mark.long
def test_services_that_start_before_postgres_come_up_when_it_does(stack: Stack) -> None:
    stack.compose("stop", "postgres")
    stack.compose("restart", "webserver", "daemon", "analytics")
    stack.compose("start", "postgres")

    def healthy() -> None:
        for service in ("postgres", "webserver", "daemon", "analytics"):
            state = stack.inspect(stack.container(service))["State"]
            assert state["Health"]["Status"] == "healthy", service

    until(healthy, seconds=150, every=1)
    launch(stack, "scenarios", "tick_job").wait()


def test_a_tag_that_the_database_cannot_hold_is_refused_by_one_sentence(stack: Stack) -> None:
    """The webserver is wired so; every way to a run is in test_what_cannot_be_stored.py."""
    said = '\'Run of job sync_tables_job: tag "note" with its value is 6004 bytes; the limit is'
    with pytest.raises(AssertionError, match=said):
        launch(stack, "elt", "sync_tables_job", tags={"note": "x" * 6000})
