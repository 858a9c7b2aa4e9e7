"""`stackctl upgrade` and `stackctl upgrade-back`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

_UNFINISHED = (
    "the upgrade is neither live nor undone. Fix: make upgrade finishes it; make upgrade-back"
    " undoes it"
)
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
            planned = replace(last, new=_again(stack, last.new))
        else:
            accepted = [each for each in accept.split(",") if each]
            tried = _try(stack, to, accepted, subnets, lambda: _may_go_on(try_only, yes))
            if tried is None:
                return
            planned = replace(tried, at=datetime.now(UTC).isoformat(timespec="milliseconds"))
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
            with _named_when_unfinished():
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
            images.forget_next(last.new)
        say(f"Dagster {last.dagster} runs again")


@contextmanager
def _alone(stack: Stack) -> Iterator[None]:
    """No other upgrade, and no deployment of a location, at the same time."""
    with ExitStack() as locks:
        for name in ("upgrade", *stack.locations):
            locks.enter_context(lock(stack, name, 0))
        yield


def _may_go_on(try_only: bool, yes: bool) -> bool:
    if try_only:
        say("Nothing was changed. To go on: make upgrade")
        return False
    _confirm("This brings it live.", yes)
    return True


def _again(stack: Stack, new: dict[str, str]) -> dict[str, str]:
    """The images of an interrupted upgrade; built again if they are gone."""
    if all(inspect("image", image) for image in new.values()):
        return new
    with step("Building the new control plane again"):
        return images.build(stack)


def _try(
    stack: Stack, to: str, accepted: list[str], subnets: str, may_go_on: Callable[[], bool]
) -> Upgrade | None:
    """What may go live; None where there is nothing to do, or it may not. Raises StackctlError."""
    ready = preflight.look(stack, to)
    found = None
    try:
        if ready.versions.is_current:
            say(f"Dagster {ready.versions.dagster} of this checkout runs already, nothing to do")
        else:
            tried = _tried(stack, ready, accepted, subnets)
            found = tried if may_go_on() else None
        return found
    finally:
        # The only names that they have, until they are live.
        if found is None:
            images.forget_next(ready.new)


def _tried(stack: Stack, ready: preflight.Ready, accepted: list[str], subnets: str) -> Upgrade:
    """What the trial and its report come to. Raises StackctlError for a location that fails."""
    versions = ready.versions
    subnets = trial.free_range(trial.taken_subnets(), subnets)
    with step("Making a backup"):
        backup = backup_cli.ask_service("now")["id"]
    with trial.copied(stack, ready.backups, backup, subnets, ready.new) as copy:
        findings = trial.examine(copy, ready.locations)
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
        since = switch.exchange(stack, upgrade.new, bool(upgrade.schema))
        switch.verify(stack, upgrade.to_dagster, upgrade.locations, since)
    except (switch.NotVerified, DockerError) as error:
        if not upgrade.keeps_data or upgrade.reconfigured:
            raise StackctlError(
                f"Dagster {upgrade.to_dagster} was brought live, and: {error}. Going back is not"
                f" safe without you: {_why_not_safe(upgrade)}. Fix: make upgrade-back"
            ) from None
        say(f"going back, because: {error}")
        with _named_when_unfinished():
            _undo(stack, upgrade)
        raise StackctlError(
            f"went back to Dagster {upgrade.dagster}, no data were lost: {error}", ROLLED_BACK
        ) from None
    except Interrupted:
        raise StackctlError(_UNFINISHED) from None
    record.write(stack, replace(upgrade, phase=LIVE))
    images.forget_next(upgrade.new)
    say(f"Dagster {upgrade.to_dagster} is live. Back to before: make upgrade-back")


@contextmanager
def _named_when_unfinished() -> Iterator[None]:
    try:
        yield
    except (StackctlError, Interrupted) as error:
        raise StackctlError(f"{error or 'interrupted'}: {_UNFINISHED}") from None


def _undo(stack: Stack, upgrade: Upgrade) -> None:
    """Bring the former images live; the database stays."""
    record.write(stack, replace(upgrade, phase=SWITCHING))
    since = switch.exchange(stack, upgrade.former, False)
    switch.verify(stack, upgrade.dagster, upgrade.locations, since)
    record.write(stack, replace(upgrade, phase=UNDONE))
    images.forget_next(upgrade.new)


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
