"""A broken release is caught beside the live one, which goes on serving."""

from __future__ import annotations

import pytest
from _pytest.mark.structures import ParameterSet

from harness import Stack
from releases import JOB, REFUSED, containers, of_elt, stackctl, write
from runs import launch


def check_refused(stack: Stack, words: str, code: int = REFUSED, *options: str) -> None:
    """The deployment says why, and nothing of what runs has changed."""
    before = containers(stack)
    image = stack.inspect(f"{stack.project}/elt:live")["Id"]
    said = stackctl(stack, "deploy", "elt", *options)
    assert said.code == code, said.text
    assert words in said.text
    assert "Traceback" not in said.text
    assert containers(stack) == before
    assert of_elt(stack) == [stack.container("elt")]
    assert stack.inspect(f"{stack.project}/elt:live")["Id"] == image


def further(code: str, words: str) -> ParameterSet:
    """A case that differs from others in the candidate's own words alone."""
    return pytest.param(code, words, marks=pytest.mark.long)


PATCHED_VERSION = """
from dagster_shared.libraries import DagsterLibraryRegistry

DagsterLibraryRegistry._libraries["dagster"] = "1.99.0"
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        further("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise RuntimeError('no flux capacitor')", "RuntimeError: no flux capacitor"),
        further(
            JOB + "\n\n@dg.job(name='sync_users_job')\ndef another() -> None:\n    say_release()\n",
            "sync_users_job",
        ),
        further(
            JOB + "\n\nclass Api(dg.ConfigurableResource):\n    token: str\n\n\n@dg.definitions\n"
            "def api() -> dg.Definitions:\n"
            "    return dg.Definitions(resources={'api': Api(token=dg.EnvVar('API_TOKEN'))})\n",
            "variables that its resources read are not set: API_TOKEN (for api)",
        ),
        further(PATCHED_VERSION, "built with Dagster 1.99.0, and the control plane with 1.13.27"),
        further(
            "import dagster as dg\n\n\n@dg.asset\ndef my_analytics_asset() -> None: ...\n",
            "other locations define this, too: asset my_analytics_asset (analytics). Fix: ",
        ),
        further("import os\n\nos.kill(os.getpid(), 9)\n", "exit code 137"),
    ],
    ids=["import", "exception", "definition", "variable", "dagster", "clash", "killed"],
)
def test_a_release_that_does_not_load(stack: Stack, code: str, words: str) -> None:
    write(stack, code)
    check_refused(stack, words)


@pytest.mark.long
def test_a_release_that_never_serves(stack: Stack) -> None:
    write(stack, "import time\n\ntime.sleep(3600)\n")
    check_refused(stack, "did not serve within 5 s", REFUSED, "--gate-seconds=5")
    launch(stack, "elt", "__ASSET_JOB", assets=["products_table"]).wait()


@pytest.mark.long
def test_a_release_that_has_lost_every_definition(stack: Stack) -> None:
    definitions = stack.folder / "code_locations/elt/src/elt/definitions.py"
    original = definitions.read_text()
    write(stack, "")
    try:
        definitions.write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
        check_refused(stack, "it loads, and defines no asset, job, schedule or sensor; what serves")
    finally:
        definitions.write_text(original)


@pytest.mark.long
def test_a_build_that_fails(stack: Stack) -> None:
    lock = stack.folder / "code_locations/elt/uv.lock"
    original = lock.read_text()
    write(stack, "")
    try:
        lock.write_text("not a lock file\n")
        check_refused(stack, "the build failed", 1)
    finally:
        lock.write_text(original)


@pytest.mark.long
def test_a_secret_that_is_missing(stack: Stack) -> None:
    compose = stack.folder / "docker-compose.yml"
    original = compose.read_text()
    write(stack, "")
    line = "      WAREHOUSE_USER: elt\n"
    assert original.count(line) == 1
    try:
        added = "      API_TOKEN_FILE: /run/secrets/api_token\n"
        compose.write_text(original.replace(line, line + added))
        check_refused(stack, "entrypoint: API_TOKEN_FILE: cannot read /run/secrets/api_token")
    finally:
        compose.write_text(original)
