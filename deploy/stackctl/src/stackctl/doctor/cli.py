"""`stackctl doctor`: what is wrong with this machine and stack, and what mends it."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from stackctl import mode
from stackctl.console import err, out, say
from stackctl.doctor import (  # noqa: F401  # each module adds its checks; this is their order
    backups,
    configuration,
    dagster,
    machine,
    network,
    report,
    services,
    support,
)
from stackctl.doctor.facts import Facts
from stackctl.doctor.finding import CHECKS, Level, run
from stackctl.errors import FAILED, USAGE, StackctlError


def doctor(
    bundle: Annotated[
        bool,
        typer.Option("--bundle", help="Also write an archive for a question, without secrets."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Check machine, engine, settings and stack, and say what mends what is wrong.

    Read-only. Works with the stack up, in part up, or down, and in the embedded mode. 1 when
    there is an error; warnings alone give 0.
    """
    facts = Facts(_mode())
    results = []
    with err.status("checking") as shown:
        for result in run(facts, CHECKS):
            results.append(result)
            shown.update(f"checked: {result.name}")
    worst = max(result.level for result in results)
    found = {
        "mode": facts.mode,
        "level": worst.name.lower(),
        "checks": [result.to_json() for result in results],
    }
    if as_json:
        out.print_json(json.dumps(found))
    else:
        report.show(out, results)
    if bundle:
        path = support.write(facts, found)
        say(f"written: {path}\nLook through it before you send it: it has lines of your logs.")
    if worst is Level.ERROR:
        raise typer.Exit(FAILED)


def _mode() -> str:
    wanted = os.environ.get("MODE", "")
    if wanted not in {"", mode.EMBEDDED, mode.DOCKER}:
        raise StackctlError(
            f"MODE is {wanted[:40]!r}. Fix: MODE={mode.EMBEDDED} or MODE={mode.DOCKER}", USAGE
        )
    if wanted:
        return wanted
    embedded = mode.embedded_runs() and not mode.docker_runs()
    return mode.EMBEDDED if embedded else mode.DOCKER
