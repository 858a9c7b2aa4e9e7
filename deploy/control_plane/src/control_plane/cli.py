"""What prepares the stack, and what it serves."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from control_plane import (
    database,
    locations,
    publication,
    secrets,
    state,
    status,
    status_table,
    ticks,
)
from control_plane.console import one_line_errors
from control_plane.instance import migrate_instance, set_missing_pool_limits

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
WebserverUrl = Annotated[
    str, typer.Option("--url", envvar="WEBSERVER_URL", help="Address of the webserver.")
]
# At least this wide: a long name that is cut is worse than a line that the terminal wraps.
console = Console(soft_wrap=True, width=max(Console().width, 160))


@app.command(
    "secrets",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def secrets_command(context: typer.Context) -> None:
    """Make missing random passwords, one file of mode 0400 each; present ones are kept."""
    secrets.main(context.args)


@app.command()
def migrate(
    secret_dir: Annotated[
        Path, typer.Option("--secrets", help="Password files: postgres_password, ...")
    ],
    sql_dir: Annotated[Path, typer.Option("--sql", help="The folder deploy/postgres.")],
    names: Annotated[str, typer.Option("--locations", help="Code locations, by commas.")],
    connections: Annotated[
        int, typer.Option(envvar="LOCATION_CONNECTIONS", min=5, help="Each location's, at most.")
    ] = database.LOCATION_CONNECTIONS,
    step_logs: Annotated[
        Path | None, typer.Option(help="Gets a folder for each location's step logs.")
    ] = None,
) -> None:
    """Bring databases, roles, grants and Dagster's storage up to date, idempotently.

    Postgres is found by POSTGRES_HOST and POSTGRES_PORT.
    """
    with one_line_errors():
        server = database.Server(
            os.environ.get("POSTGRES_HOST", "postgres"),
            int(os.environ.get("POSTGRES_PORT", "5432")),
            secrets.read(secret_dir, "postgres_password"),
            _optional(secret_dir, f"postgres_password{secrets.FORMER}"),
        )
        control_password = secrets.read(secret_dir, "dagster_password")
        location_passwords = {
            name: secrets.read(secret_dir, f"{name}_password") for name in names.split(",")
        }
        database.provision(
            server,
            control_password,
            location_passwords,
            sql_dir,
            connections,
            _optional(secret_dir, "backup_password"),
            _optional(secret_dir, "dagster_monitoring_password"),
            _optional(secret_dir, "dagster_alerts_password"),
        )
        migrate_instance(server, control_password)
        set_missing_pool_limits(server, control_password, sql_dir / "pools.toml")
        database.grant_run_rights(server, sql_dir)
        if step_logs:
            for name in location_passwords:
                (step_logs / name).mkdir(exist_ok=True)
        console.print(f"databases, roles and storage are up to date for: {names}")


def _optional(secret_dir: Path, name: str) -> str | None:
    return secrets.read(secret_dir, name) if (secret_dir / name).exists() else None


@app.command("after-locations")
def after_locations(
    command: Annotated[list[str], typer.Argument(help="Command to exec.")],
    workspace: Annotated[Path, typer.Option(help="The workspace file.")],
    seconds: Annotated[float, typer.Option(help="How long to wait at most.")] = 60,
) -> None:
    """Wait until every code location serves, or the time is over; then become the program.

    A location that is broken must not keep the UI from showing it, so this never fails; it
    saves webserver and daemon from reporting locations that only start a moment later.
    """
    with one_line_errors():
        late = locations.wait(workspace, seconds)
    if late:
        console.print(f"going on without code locations that do not serve yet: {', '.join(late)}")
    os.execvp(command[0], command)


@app.command("compare")
def compare(
    candidate: Annotated[str, typer.Argument(help="host:port of a code server.")],
    live: Annotated[str | None, typer.Option(help="host:port of the one that serves now.")] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(help="host:port of another location, by its name."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to wait for the candidate.")] = 120,
) -> None:
    """Print as JSON what a code server defines, what the live one does, and who has names of it."""
    from control_plane import definitions

    others = {address.partition(":")[0]: address for address in other or ()}
    with one_line_errors():
        print(json.dumps(definitions.report(candidate, live, others, seconds)))


@app.command("drain")
def drain(
    server: Annotated[str, typer.Argument(help="host:port of a code server.")],
) -> None:
    """Have a code server take no more calls, answer those that it has, and end."""
    from control_plane import definitions

    with one_line_errors():
        definitions.drain(server)


@app.command("runs")
def runs_command(
    location: Annotated[str, typer.Argument(help="A code location; all without it.")] = "",
) -> None:
    """Print as JSON the runs that have not ended: id, job, status, image, location."""
    from control_plane import runs

    with one_line_errors():
        print(json.dumps(runs.unfinished(location)))


@app.command("check-run")
def check_run(
    location: Annotated[str, typer.Argument(help="A code location.")],
    url: WebserverUrl = "http://localhost:3000",
) -> None:
    """Create a run that shows whether runs of a location work; print it as JSON: id, job, named."""
    from control_plane import check_runs

    with one_line_errors():
        print(json.dumps(check_runs.launch(url, location)))


@app.command("await-run")
def await_run(
    run_id: Annotated[str, typer.Argument(help="A run's id.")],
    seconds: Annotated[float, typer.Option(help="How long to wait at most.")] = 60,
    url: WebserverUrl = "http://localhost:3000",
) -> None:
    """Wait until a run has ended; print its status."""
    from control_plane import check_runs

    with one_line_errors():
        print(check_runs.await_end(url, run_id, seconds))


@app.command("launch-run")
def launch_run(run_id: Annotated[str, typer.Argument(help="A queued run's id.")]) -> None:
    """Launch one queued run, as the daemon would; no other is touched."""
    from control_plane import runs

    with one_line_errors():
        runs.launch(run_id)


@app.command("await-release")
def await_release(
    location: Annotated[str, typer.Argument(help="A code location.")],
    image: Annotated[str, typer.Argument(help="The image that its code server names.")],
    seconds: Annotated[float, typer.Option(help="How long to wait at most.")] = 60,
    url: WebserverUrl = "http://localhost:3000",
) -> None:
    """Wait until the webserver serves a location from this image; 1 when it does not."""
    with one_line_errors():
        status.await_release(url, location, image, seconds)


@app.command()
def publish(
    source: Annotated[Path, typer.Argument(help="The workspace file.")],
    target: Annotated[Path, typer.Argument(help="Where webserver and daemon read it.")],
    url: WebserverUrl = "http://localhost:3000",
    seconds: Annotated[float, typer.Option(help="How long to wait for the webserver.")] = 150,
) -> None:
    """Publish the workspace file, if it is valid, and let a running webserver read it again.

    The daemon notices by itself. A location that is new in it starts meanwhile, and is waited
    for a minute, so that nobody is shown an error that means that it is not there yet.
    """
    with one_line_errors():
        new = publication.newcomers(source, target)
        if late := locations.wait_for(lambda: new, 60):
            console.print(f"going on without new locations that do not serve: {', '.join(late)}")
        names = publication.publish(source, target)
        console.print(f"workspace published: {', '.join(names)}")
        if publication.reload(url, seconds):
            console.print("the webserver has read it")


@app.command("status")
def status_command(
    url: WebserverUrl = "http://localhost:3000",
    show_url: Annotated[
        str | None, typer.Option(help="Address to show, where people see another one.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for locations to load.")] = 0,
    expect: Annotated[str, typer.Option(help="Locations to wait for, by commas.")] = "",
    only: Annotated[str, typer.Option(help="Leave all but this location out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show the UI's address, each code location and each schedule, and what fails to tick.

    1 when a location is not loaded.
    """
    with one_line_errors():
        names = [name for name in (*expect.split(","), only) if name]
        current = status.wait(url, wait, names)
        if only:
            current = current.only(only)
        failing = [
            one
            for one in ticks.failures(url, ticks.fetch(url))
            if one.location in {location.name for location in current.locations}
        ]
        if as_json:
            ticking = {"failing": [asdict(one) for one in failing]}
            print(json.dumps(current.to_json() | ticking, default=str, indent=2))
        else:
            status_table.show(console, current, show_url or url)
            status_table.show_failing(console, failing)
        if any(location.state != "LOADED" for location in current.locations):
            raise typer.Exit(1)


@app.command("state")
def state_command(
    url: WebserverUrl = "http://localhost:3000",
    wait: Annotated[float, typer.Option(help="Seconds to wait for locations to load.")] = 10,
) -> None:
    """Print as JSON what Dagster says of itself: locations, ticks, daemons, pools."""
    with one_line_errors():
        print(json.dumps(state.fetch(url, wait).to_json(), default=str))


if __name__ == "__main__":
    app()
