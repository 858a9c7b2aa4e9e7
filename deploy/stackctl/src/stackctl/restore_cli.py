"""The way back from a backup: into this stack, or into a new one beside it."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from stackctl.backups import Backups, create_volume, shown_time
from stackctl.console import say, step
from stackctl.docker import ROOT, docker, inspect
from stackctl.errors import REFUSED, USAGE, Interrupted, StackctlError

_ASIDE = "/aside"

BackupId = Annotated[str, typer.Option("--backup", help="Its id; the newest that fits.")]
At = Annotated[str, typer.Option("--at", help="ISO 8601, UTC: such as 2026-11-27T01:30:00.")]
Into = Annotated[str, typer.Option(help="A new project beside this one, by its name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def restore(
    at: At = "",
    backup_id: BackupId = "",
    into: Into = "",
    undo: Annotated[str, typer.Option(help="Put back what a restore has kept aside.")] = "",
    yes: Yes = False,
) -> None:
    """Restore databases from a backup: into this stack, or into a new one beside it.

    Files of the other volumes and of the object store are put back where they are missing.
    """
    backups = Backups.load()
    if undo:
        _undo(backups, undo, yes)
        return
    if into:
        _check_new_project(into)
    options = [f"--backup={backup_id}", f"--at={at}"]
    chosen = backups.ask("choose", *options)
    options = [f"--backup={chosen['id']}", f"--at={at}"]
    say(
        f"Backup {chosen['id']}, to {at or shown_time(chosen['until'])};"
        f" {chosen['unpacked'] / 1e6:,.0f} MB"
    )
    if into and into != backups.stack.project:
        _restore_beside(backups, into, options)
        _restore_objects(backups, into, chosen["id"])
        say(
            f"Start it with a port of its own: COMPOSE_PROJECT_NAME={into} WEBSERVER_PORT=3001"
            f" RPC_SUBNETS={os.environ['RPC_SUBNETS']} make up"
        )
    else:
        kept = _restore_here(backups, options, yes)
        _restore_objects(backups, backups.stack.project, chosen["id"])
        say(f"The data from before are kept. Back to them: make restore UNDO={kept}")
        _up()


def _check_new_project(into: str) -> None:
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", into):
        raise StackctlError(
            f"INTO is {into!r}: not a project's name. Fix: a-z, 0-9, _ and - alone", USAGE
        )
    if not os.environ.get("RPC_SUBNETS"):
        raise StackctlError(
            "RPC_SUBNETS is not set: the networks of the new project need addresses of their"
            f" own. Fix: make restore INTO={into} RPC_SUBNETS=198.20",
            USAGE,
        )
    if docker("volume", "ls", "--quiet", f"--filter=name=^{into}_postgres$").strip():
        raise StackctlError(
            f"INTO is {into!r}: that project has data already. Fix: another name", USAGE
        )


def _restore_beside(backups: Backups, project: str, options: list[str]) -> None:
    volumes = backups.create_volumes(project)
    _say_restored(restore_volumes(backups, project, options, volumes))


def restore_volumes(
    backups: Backups, project: str, options: list[str], volumes: list[str]
) -> dict[str, Any]:
    """Fill new volumes of a project; its tables and rows. They are removed when that fails."""
    try:
        found: dict[str, Any] = backups.work(project, "restore", *options)
        return found
    except BaseException:
        # Half of them would be taken for a stack's data.
        docker("volume", "rm", "--force", *volumes)
        raise


def _restore_here(backups: Backups, options: list[str], yes: bool) -> str:
    """The volume that keeps the data from before."""
    project = backups.stack.project
    backups.create_volumes(project)
    options = [*options, f"--aside={_ASIDE}", "--new-line"]
    # Before anything is stopped.
    backups.work(project, "restore", *options, "--check")
    _confirm("This stops the stack and replaces both databases.", yes)
    name = f"{project}_postgres_before_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        create_volume(project, name.removeprefix(f"{project}_"), name)
        _down()
        say(f"The present data are copied to the volume {name} first")
        found = backups.work(project, "restore", *options, more=[f"--volume={name}:{_ASIDE}"])
    except (StackctlError, Interrupted) as error:
        raise StackctlError(
            f"{str(error) or 'interrupted'}. The stack is stopped. Fix: that, then this command"
            f" again; or back to the data from before: make restore UNDO={name}"
        ) from None
    _say_restored(found)
    return name


def _say_restored(found: dict[str, Any]) -> None:
    say(f"Restored {found['tables']} tables, {found['rows']:,} rows")


def _undo(backups: Backups, volume: str, yes: bool) -> None:
    project = backups.stack.project
    if not volume.startswith(f"{project}_postgres_before_") or not inspect("volume", volume):
        raise StackctlError(
            f"UNDO is {volume!r}: there is no such volume. Fix: docker volume ls"
            f" --filter name={project}_postgres_before",
            USAGE,
        )
    _confirm("This stops the stack and puts both databases back as they were.", yes)
    _down()
    backups.work(project, "put-back", _ASIDE, more=[f"--volume={volume}:{_ASIDE}:ro"])
    _up()


def _restore_objects(backups: Backups, project: str, backup_id: str) -> None:
    own = project == backups.stack.project
    environment = {} if own else {"COMPOSE_PROJECT_NAME": project}
    with step("Putting back missing objects"):
        # A new project has no images yet.
        build = "--no-build" if own else "--build"
        command = ("compose", "--progress=quiet", "up", "--detach", build, "--wait")
        docker(*command, "object_store", environment=environment)
        of_this = backups.stack.config["networks"]["objects"]["name"]
        network = f"--network={of_this if own else f'{project}_objects'}"
        backups.work(project, "put-objects", f"--backup={backup_id}", more=[network])


def _confirm(what: str, yes: bool) -> None:
    if not yes and not typer.confirm(f"{what} Go on?", err=True):
        raise StackctlError("nothing was changed", REFUSED)


def _down() -> None:
    with step("Stopping the stack"):
        script = [ROOT / "deploy/stackctl/down"]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it failed, and said nothing"]
        raise StackctlError(f"make down: {lines[-1]}")


def _up() -> None:
    # The releases that were live, whatever the checkout holds by now.
    with step("Starting the stack, and waiting until every service is healthy"):
        docker("compose", "--progress=quiet", "up", "--detach", "--no-build", "--wait")
