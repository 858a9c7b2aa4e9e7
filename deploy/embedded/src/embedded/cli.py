"""The stack without Docker: webserver, daemon, code locations and Postgres as processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping
from types import FrameType
from typing import Annotated

import typer
from control_plane import secrets
from control_plane.errors import StackError

from embedded import leftovers, lock, manifests, packages, postgres_home, postgres_server
from embedded.console import complain, say
from embedded.environment import Environments
from embedded.errors import Interrupted
from embedded.locations import read_locations
from embedded.plan import Plan
from embedded.ports import inner_ports, require_free
from embedded.settings import Paths, path_prefix, read_settings, repository, webserver_port
from embedded.stack import Stack, explain, location_secrets

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)


class Signals:
    """The first signal interrupts what is going on; any later one makes the end a quick one."""

    def __init__(self) -> None:
        self.count = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup make dev
            signal.signal(signal.SIGHUP, self._receive)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            raise Interrupted

    def hurry(self) -> bool:
        return self.count > 1


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Without a command: start the stack, and end it on Ctrl-C."""
    if context.invoked_subcommand is None:
        raise typer.Exit(_start(repository()))


@app.command()
def start() -> None:
    """Start the stack, show what it serves, and end all of it on Ctrl-C."""
    raise typer.Exit(_start(repository()))


@app.command()
def status() -> None:
    """Show the UI's address, each code location and each schedule of the running stack."""
    paths = repository()
    holder = lock.holder(paths.lock)
    if holder is None or holder[1] is None:
        complain("the stack does not run in this checkout; start it with: make dev")
        raise typer.Exit(1)
    try:
        url = f"http://localhost:{holder[1]}{path_prefix(read_settings(paths.root))}"
    except StackError as error:
        explain(error)
        raise typer.Exit(1) from None
    program = str(paths.binaries / "control-plane")
    shown = subprocess.run([program, "status", "--url", url, "--wait", "10"], check=False)
    raise typer.Exit(shown.returncode)


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all data of this mode: databases, runs, landing zone, passwords, logs."""
    paths = repository()
    places = [place for place in (paths.data, postgres_home.system_folder(paths)) if place.exists()]
    if not places:
        say("nothing to delete")
        return
    named = " and ".join(str(place) for place in places)
    if not yes and not typer.confirm(f"Delete all data of the embedded stack in {named}?"):
        raise typer.Exit(1)
    try:
        with lock.held(paths.lock):
            _end_leftovers(paths)
            _delete(paths)
    except StackError as error:
        explain(error)
        raise typer.Exit(1) from None
    say(f"deleted: {named}")


def _start(paths: Paths) -> int:
    """Run the stack until a signal (0) or a failure (1)."""
    signals = Signals()
    try:
        settings = read_settings(paths.root)
        port = webserver_port(settings)
        with lock.held(paths.lock, port):
            _end_leftovers(paths)
            require_free(port)
            return _run(_plan(paths, settings, port), signals)
    except StackError as error:
        explain(error)
        return 1
    except Interrupted:
        return 0


def _run(plan: Plan, signals: Signals) -> int:
    stack = Stack(plan, signals.hurry)
    try:
        stack.start()
        stack.show_status()
        stack.watch()
    except Interrupted:
        say("\nStopping (Ctrl-C again: at once)")
        return 0
    except StackError as error:
        explain(error)
        return 1
    finally:
        signals.count = max(signals.count, 1)  # from here on a signal only hurries
        stack.stop()
        say("All processes have ended.")


def _plan(paths: Paths, settings: Mapping[str, str], port: int) -> Plan:
    """Everything that can be found wrong without starting anything is found wrong here."""
    locations = read_locations(paths.root)
    packages.sync(paths.uv, locations)
    manifests.make(paths.dbt_parse, locations)
    for folder in (paths.secrets, paths.logs):
        folder.mkdir(parents=True, exist_ok=True)
    paths.secrets.chmod(0o700)
    secrets.provision(paths.secrets, location_secrets(locations))
    postgres_port, *code_ports = inner_ports(paths.root, 1 + len(locations))
    return Plan(
        paths=paths,
        home=postgres_home.locate(paths),
        locations=locations,
        environments=Environments(
            paths=paths,
            settings=settings,
            shell=dict(os.environ),
            run_id=uuid.uuid4().hex,
            postgres_port=postgres_port,
        ),
        webserver_port=port,
        path_prefix=path_prefix(settings),
        code_ports=dict(zip((each.name for each in locations), code_ports, strict=True)),
    )


def _end_leftovers(paths: Paths) -> None:
    """End what an earlier stack of this checkout left behind; we hold the lock, so it is dead."""
    ended = leftovers.sweep(paths.data)
    if ended:
        say(f"Ended {ended} processes that an earlier stack had left behind")
    home = postgres_home.locate(paths)
    postgres_server.clear_stray(home.data)


def _delete(paths: Paths) -> None:
    """All but the lock file, which we hold."""
    for path in paths.data.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != paths.lock:
            path.unlink()
    shutil.rmtree(postgres_home.system_folder(paths), ignore_errors=True)
