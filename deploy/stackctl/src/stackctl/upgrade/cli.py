"""`stackctl upgrade` and `stackctl upgrade-back`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from stackctl import backup_cli
from stackctl.console import out, say, step
from stackctl.docker import ROOT, DockerError, inspect
from stackctl.errors import REFUSED, ROLLED_BACK, Interrupted, StackctlError
from stackctl.lock import lock, who
from stackctl.restore_cli import restore
from stackctl.stack import Stack
from stackctl.upgrade import images, preflight, record, report, switch, trial
from stackctl.upgrade.record import LIVE, SWITCHING, UNDONE, Upgrade

REPORTS = ROOT / ".artifacts/upgrade"

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def upgrade(
    to: Annotated[str, typer.Option(help="The version of Dagster that the checkout has.")] = "",
    try_only: Annotated[bool, typer.Option("--try", help="Report, and change nothing.")] = False,
    accept: Annotated[str, typer.Option(help="Locations that may fail, by commas.")] = "",
    subnets: Annotated[
        str, typer.Option(envvar="TRIAL_SUBNETS", help="For the copy's networks, such as 10.77.")
    ] = "",
    yes: Yes = False,
) -> None:
    """Upgrade the control plane to what this checkout has, after it was tried on a copy.

    A backup is made, the copy is restored from it, migrated and used; then comes the report. The
    switch keeps runs and queue, is verified, and undone where it fails and that is safe.
    """
    stack = Stack.load()
    with _alone(stack):
        last = record.read(stack)
        if last and last.phase == SWITCHING:
            say(
                f"An upgrade to Dagster {last.to_dagster} by {last.by} was interrupted while it"
                f" was brought live, at {last.at}. make upgrade-back undoes it."
            )
            _confirm("This finishes it.", yes)
            _bring_live(stack, last)
            return
        planned = _try(stack, to, [each for each in accept.split(",") if each], subnets)
        if planned is None:
            return
        if try_only:
            say("Nothing was changed. To go on: make upgrade")
            return
        _confirm(f"This brings Dagster {planned.to_dagster} live.", yes)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        planned = replace(planned, at=now)
        images.keep_former(planned.former)
        record.write(stack, planned)
        _bring_live(stack, planned)


def upgrade_back(yes: Yes = False) -> None:
    """Bring back the control plane from before the last upgrade.

    Where the upgrade changed no table, all data stay. Else the databases are restored to the moment
    before the switch; the runs that came since are named first.
    """
    stack = Stack.load()
    with _alone(stack):
        last = record.read(stack)
        if last is None or last.phase == UNDONE:
            raise StackctlError(
                "there is no upgrade to undo. Fix: make restore puts back data of a backup", REFUSED
            )
        _check_kept(stack, last)
        since = switch.database(stack).runs_since(last.at)
        written = _write("runs-since", since)
        say(f"{len(since)} runs were created since the switch at {last.at}; listed in {written}")
        if last.keeps_data:
            _confirm(f"This brings Dagster {last.dagster} back. All data and runs stay.", yes)
            _undo(stack, last)
        else:
            _confirm(
                f"This brings Dagster {last.dagster} back, and both databases to {last.at}: those"
                " runs, and all else that came since, are lost.",
                yes,
            )
            images.make_live(last.former)
            restore(at=last.at, yes=True)
            record.write(stack, replace(last, phase=UNDONE))
        say(f"Dagster {last.dagster} runs again")


@contextmanager
def _alone(stack: Stack) -> Iterator[None]:
    """No other upgrade, and no deployment of a location, at the same time."""
    with ExitStack() as locks:
        for name in ("upgrade", *stack.locations):
            locks.enter_context(lock(stack, name, 0))
        yield


def _try(stack: Stack, to: str, accepted: list[str], subnets: str) -> Upgrade | None:
    """What may go live; None where there is nothing to do. Raises StackctlError."""
    ready = preflight.look(stack, to)
    try:
        versions = ready.versions
        if versions.is_current:
            say(f"Dagster {versions.dagster} of this checkout runs already, nothing to do")
            return None
        subnets = trial.free_range(trial.taken_subnets(), subnets)
        with step("Making a backup"):
            backup = backup_cli.ask_service("now")["id"]
        with trial.copied(stack, ready.backups, backup, subnets, ready.new) as copy:
            findings = trial.examine(copy, ready.locations)
    finally:
        images.forget_next(ready.new)
    lines = report.report(versions, findings, backup, ready.reconfigured)
    for line in lines:
        out.print(line, markup=False)
    say(f"written: {_write('report', lines)}")
    if failing := report.objections(findings, accepted):
        raise StackctlError(
            f"{', '.join(failing)} would not work under the new control plane, see above; nothing"
            f" was changed. Fix: make deploy LOCATION={failing[0]} of code that does; or go on"
            f" without: ACCEPT={','.join(failing)}",
            REFUSED,
        )
    return Upgrade(
        phase=SWITCHING,
        at="",
        by=who(),
        dagster=versions.dagster,
        to_dagster=versions.to_dagster,
        former=ready.former,
        new=ready.new,
        backup=backup,
        locations=[each.location for each in findings.locations if each.works],
        schema=findings.schema,
        reconfigured=ready.reconfigured,
    )


def _bring_live(stack: Stack, upgrade: Upgrade) -> None:
    try:
        switch.exchange(stack, upgrade.new, bool(upgrade.schema))
        switch.verify(stack, upgrade.to_dagster, upgrade.locations)
    except switch.NotVerified as error:
        if not upgrade.keeps_data or upgrade.reconfigured:
            raise StackctlError(
                f"Dagster {upgrade.to_dagster} is live and not right: {error}. Going back is not"
                f" safe without you: {_why_not_safe(upgrade)}. Fix: make upgrade-back"
            ) from None
        say(f"not right: {error}")
        _undo(stack, upgrade)
        raise StackctlError(
            f"went back to Dagster {upgrade.dagster}, no data were lost: {error}", ROLLED_BACK
        ) from None
    except (DockerError, Interrupted) as error:
        raise StackctlError(
            f"{str(error) or 'interrupted'}. The upgrade is not finished. Fix: make upgrade goes on"
            " with it; make upgrade-back undoes it"
        ) from None
    record.write(stack, replace(upgrade, phase=LIVE))
    say(f"Dagster {upgrade.to_dagster} is live. Back to before: make upgrade-back")


def _undo(stack: Stack, upgrade: Upgrade) -> None:
    """Bring the former images live; the database stays."""
    switch.exchange(stack, upgrade.former, False)
    switch.verify(stack, upgrade.dagster, upgrade.locations)
    record.write(stack, replace(upgrade, phase=UNDONE))


def _check_kept(stack: Stack, upgrade: Upgrade) -> None:
    """Raise StackctlError where the former control plane cannot be had as it was."""
    gone = [name for name, image in upgrade.former.items() if not inspect("image", image)]
    if gone:
        raise StackctlError(
            f"images of before the upgrade are gone: {', '.join(gone)}. Fix: check out the former"
            " revision, then make up"
        )
    same = set(images.reconfigured(stack)) & set(upgrade.reconfigured)
    if upgrade.reconfigured and not same:
        raise StackctlError(
            "docker-compose.yml or .env has changed with the upgrade, too:"
            f" {', '.join(upgrade.reconfigured)}. Fix: check out the former revision, then"
            " this command again",
            REFUSED,
        )


def _why_not_safe(upgrade: Upgrade) -> str:
    reasons = []
    if upgrade.schema:
        reasons.append("the migration changed tables, so the databases have to be restored")
    if upgrade.reconfigured:
        reasons.append("docker-compose.yml or .env has changed, too")
    return "; ".join(reasons)


def _write(name: str, lines: list[str]) -> Path:
    """The file that holds these lines, relative to the checkout."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}.txt"
    path.write_text("\n".join(lines) + "\n")
    return path.relative_to(ROOT)


def _confirm(what: str, yes: bool) -> None:
    if not yes and not typer.confirm(f"{what} Go on?", err=True):
        raise StackctlError("nothing was changed", REFUSED)
