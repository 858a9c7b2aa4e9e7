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

from embedded import (
    leftovers,
    lock,
    manifests,
    packages,
    postgres_home,
    postgres_server,
    process_list,
)
from embedded.console import complain, say, show_table, step
from embedded.environment import Environments
from embedded.errors import Interrupted
from embedded.locations import read_locations
from embedded.plan import Plan
from embedded.ports import inner_ports, require_free
from embedded.settings import Paths, path_prefix, read_settings, repository, webserver_port
from embedded.stack import Stack, explain, location_secrets
from embedded.waiting import wait_until

_DOWN_S = 90  # runs, webserver and daemon, code servers and Postgres have graces of their own

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
    """Show the processes, the UI's address, each code location and each schedule."""
    paths = repository()
    _, port = _holder(paths)
    try:
        url = f"http://localhost:{port}{path_prefix(read_settings(paths.root))}"
    except StackError as error:
        explain(error)
        raise typer.Exit(1) from None
    show_table(process_list.HEADERS, map(process_list.row, process_list.read(paths.processes)))
    program = str(paths.binaries / "control-plane")
    shown = subprocess.run([program, "status", "--url", url, "--wait", "10"], check=False)
    raise typer.Exit(shown.returncode)


@app.command()
def ps() -> None:
    """Show the processes: state, pid, port, since when, restarts; and those of runs."""
    paths = repository()
    _holder(paths)
    processes = process_list.read(paths.processes)
    locations = {location.name for location in read_locations(paths.root)}
    runs = process_list.runs([each for each in processes if each.name in locations])
    show_table(process_list.HEADERS, map(process_list.row, [*processes, *runs]))


@app.command()
def logs(service: Annotated[str, typer.Argument(envvar="SERVICE")] = "") -> None:
    """Follow the log files: all, or of one process, by its name in `ps`."""
    folder = repository().logs
    found = {file.stem: str(file) for file in sorted(folder.glob("*.log"))}
    if not found:
        complain(f"there are no logs in {folder} yet. Fix: make dev")
        raise typer.Exit(1)
    if service and service not in found:
        complain(f"there is no log of {service!r}. There are: {', '.join(found)}")
        raise typer.Exit(1)
    files = [found[service]] if service else list(found.values())
    os.execvp("tail", ["tail", "-n", "100", "-F", *files])


@app.command()
def psql(
    location: Annotated[str, typer.Argument(envvar="LOCATION")] = "",
    only_print: Annotated[str, typer.Option("--print", envvar="PRINT")] = "",
) -> None:
    """Open a session in the warehouse as a location's role, or print its address."""
    paths = repository()
    _holder(paths)
    # The last one by default: as a rule it reads what the others load.
    names = [each.name for each in read_locations(paths.root)]
    role = location or names[-1]
    ports = [each.port for each in process_list.read(paths.processes) if each.name == "postgres"]
    if role not in names or not ports:
        complain(f"there is no code location {role!r} that runs. There are: {', '.join(names)}")
        raise typer.Exit(1)
    password = secrets.read(paths.secrets, f"{role}_password")
    if only_print:
        print(f"postgresql://{role}:{password}@127.0.0.1:{ports[0]}/warehouse")
        return
    program = str(postgres_home.locate(paths).programs / "psql")
    address = f"host=127.0.0.1 port={ports[0]} dbname=warehouse user={role}"
    os.execve(program, [program, address], {**os.environ, "PGPASSWORD": password})


@app.command("retention-plan")
def retention_plan() -> None:
    """Show which old runs, events and files would go, and how much space that is."""
    _retention("plan")


@app.command()
def retention(compact: Annotated[str, typer.Option("--compact", envvar="COMPACT")] = "") -> None:
    """Remove them now; with COMPACT=1 give the disk space back, while runs wait."""
    _retention("run", *(["--compact"] if compact else []))


def _retention(*command: str) -> None:
    paths = repository()
    _holder(paths)
    ports = [each.port for each in process_list.read(paths.processes) if each.name == "postgres"]
    if not ports or ports[0] is None:
        complain("Postgres does not run. Fix: make logs SERVICE=postgres")
        raise typer.Exit(1)
    environments = Environments(
        paths, read_settings(paths.root), dict(os.environ), uuid.uuid4().hex, ports[0]
    )
    program = str(paths.binaries / "python")
    arguments = [program, "-m", "control_plane.retention", *command]
    os.execve(program, arguments, environments.control_plane())


@app.command()
def down() -> None:
    """Stop the stack that runs in another terminal, in its own order; data stays."""
    paths = repository()
    pid, _ = _holder(paths)
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        say("its supervisor is gone already, and its watchdog ends the rest")
    except PermissionError:
        complain(f"process {pid} belongs to another user. Fix: sudo make down")
        raise typer.Exit(1) from None
    with step(f"the stack of process {pid} has ended"):
        ended = wait_until(lambda: lock.holder(paths.lock) is None, _DOWN_S)
    if not ended:
        complain(f"process {pid} has not ended within {_DOWN_S} s; its logs: {paths.logs}")
        raise typer.Exit(1)


def _holder(paths: Paths) -> tuple[int, int]:
    """Process id and webserver port of the stack that runs. Exits with a line when none does."""
    holder = lock.holder(paths.lock)
    if holder is None or not holder[0]:
        complain("the embedded mode does not run in this checkout. Fix: make dev")
        raise typer.Exit(1)
    return holder[0], holder[1] or 0


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
    packages.sync(paths.install, locations)
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
