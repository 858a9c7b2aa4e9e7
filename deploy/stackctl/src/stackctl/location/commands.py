"""Add, start and remove a code location."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from stackctl.console import listed, say, step
from stackctl.docker import COMPOSE_FILE, ROOT
from stackctl.errors import LOCKED, REFUSED, USAGE, StackctlError
from stackctl.location import compose_file, live, names, scaffold
from stackctl.location.files import Project
from stackctl.lock import lock
from stackctl.mode import embedded_runs
from stackctl.stack import Stack

app = typer.Typer(no_args_is_help=True, help="Add, start and remove code locations.")

Name = Annotated[str, typer.Argument(help="A Python identifier of lower-case letters.")]
Loader = Annotated[
    str,
    typer.Option("--loader", help="1: a location that loads files of a landing zone; or nothing."),
]


@app.command()
def add(name: Name, loader: Loader = "") -> None:
    """Make a code location from the template; in a stack that runs, live and with no restart."""
    if loader not in {"", "1"}:
        raise StackctlError(
            f"LOADER is {loader[:40]!r}. Fix: LOADER=1 for a location that loads files, or leave"
            " it out",
            USAGE,
        )
    loads = bool(loader)
    with _alone(ROOT):
        before = Project.read(ROOT)
        names.check(name, before.compose, before.texts[COMPOSE_FILE], ROOT)
        after = before.with_location(name, loader=loads)
        after.check(set(before.compose["services"]) | {name})
        running = live.is_running()
        with _files_added(before, after, name, loads):
            if running:
                with _nothing_left_on_failure(before, name):
                    live.start(name)
    say(f"code location {name} is in code_locations/{name}")
    if embedded_runs(ROOT):
        say("The embedded mode takes it up at its next start: make down, make dev")
    elif not running:
        say("The stack does not run; this starts it with the rest: make up (or make dev)")


@app.command()
def start(name: Name) -> None:
    """Take a code location up that came with the files, into a stack that runs."""
    with _alone(ROOT):
        _check_known(Project.read(ROOT), name)
        if not live.is_running():
            raise StackctlError("the stack does not run. Fix: make up", REFUSED)
        live.start(name)


@app.command()
def remove(
    name: Name,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Its schema, role, password and volumes too.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete code that the template did not make, unasked.")
    ] = False,
) -> None:
    """Take a code location out, unless runs of it wait or run; its data stays."""
    with _alone(ROOT):
        before = Project.read(ROOT)
        _check_known(before, name)
        after = before.without_location(name)
        after.check(set(before.compose["services"]) - {name})
        running = _running_or_never_was(delete_data)
        stack = Stack.load() if running else None
        if stack is not None:
            _check_no_runs(stack, name)
        _confirm_loss(before.folder(name), name, yes)
        with before.put_back_on_failure():
            after.write()
            if stack is not None:
                with lock(stack, name, 0):
                    _take_out(stack, before, name, delete_data)
        shutil.rmtree(before.folder(name), ignore_errors=True)
    say(
        f"code location {name} is gone"
        + ("; its data stays" if running and not delete_data else "")
    )


def _take_out(stack: Stack, before: Project, name: str, delete_data: bool) -> None:
    """First from the workspace, so that nobody launches runs of it any more."""
    try:
        with step("webserver and daemon drop it"):
            live.publish()
        _check_no_runs(stack, name)
        remains = live.Remains(stack, name)
        with step(f"containers and images of {name}"):
            remains.remove_containers()
            remains.remove_network()
            live.prepare()
            remains.remove_images()
        if delete_data:
            with step(f"data of {name}"):
                remains.delete_data()
    except BaseException:
        before.write()
        with contextlib.suppress(StackctlError):
            live.publish()
        raise


@contextmanager
def _files_added(before: Project, after: Project, name: str, loader: bool) -> Iterator[None]:
    """The new folder and the changed files; neither when something fails meanwhile."""
    folder = before.folder(name)
    with step(f"files of {name}"):
        scaffold.make(folder, name, loader=loader)
    try:
        with before.put_back_on_failure():
            after.write()
            yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _nothing_left_on_failure(before: Project, name: str) -> Iterator[None]:
    stack = Stack.load()
    try:
        yield
    except BaseException:
        say(f"taking {name} out again")
        remains = live.Remains(stack, name)
        before.write()
        for undo in (
            live.publish,
            remains.remove_containers,
            remains.remove_network,
            live.prepare,
            remains.remove_images,
        ):
            with contextlib.suppress(StackctlError):
                undo()
        raise


def _check_known(project: Project, name: str) -> None:
    known = compose_file.locations(project.texts[COMPOSE_FILE])
    if name not in known:
        raise StackctlError(
            f"docker-compose.yml has no code location {name[:80]!r}. There are: {', '.join(known)}",
            USAGE,
        )


def _running_or_never_was(delete_data: bool) -> bool:
    """Whether the stack runs. Raises StackctlError when nobody can tell what waits in it."""
    if embedded_runs(ROOT):
        raise StackctlError(
            "make dev runs in this checkout, perhaps with runs of it. Fix: make down, first",
            REFUSED,
        )
    if live.is_running():
        return True
    if delete_data or (live.engine_answers() and live.has_data(Stack.load())):
        raise StackctlError(
            "the stack does not run, so its data cannot be deleted, and nobody knows of runs that"
            " wait. Fix: make up, first",
            REFUSED,
        )
    return False


def _check_no_runs(stack: Stack, name: str) -> None:
    runs = live.active_runs(stack, name)
    if runs:
        raise StackctlError(
            f"{name} has runs that wait or run: {listed(runs, '; ')}."
            " Fix: wait for them, or terminate them in the UI",
            REFUSED,
        )


def _confirm_loss(folder: Path, name: str, yes: bool) -> None:
    """Code that somebody wrote goes only when somebody says so."""
    work = scaffold.work_in(folder, name)
    if not work or yes:
        return
    shown = listed(work)
    say(f"code_locations/{name} is not as the template made it: {shown}")
    if not sys.stdin.isatty():
        raise StackctlError(
            f"code_locations/{name} holds work that would be deleted ({shown})."
            " Fix: --yes (make: YES=1) deletes it",
            REFUSED,
        )
    if not typer.confirm(f"Delete code_locations/{name}?"):
        raise StackctlError("nothing was removed", REFUSED)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One change of the list at a time. Raises StackctlError while another is under way."""
    handle = os.open(root / "code_locations", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StackctlError("another command adds or removes a location just now", LOCKED) from None
    finally:
        os.close(handle)
