"""The command line. Each area of commands has a module of its own, named here."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from stackctl import backup_cli, bundle, image_cli, restore_cli, rotation, sbom, ship_cli, watch_cli
from stackctl.console import complain
from stackctl.doctor.cli import doctor
from stackctl.errors import INTERRUPTED, Interrupted, StackctlError
from stackctl.kubernetes.cli import helm_values
from stackctl.location.commands import app as location_app
from stackctl.upgrade.cli import upgrade, upgrade_back

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Ship, roll back, add and remove code locations of a running stack.",
    epilog="Exit codes: 0 done; 1 failed, nothing changed; 2 not understood; 3 refused by the"
    " gate or a safeguard, nothing changed; 4 rolled back; 5 locked by another command;"
    " 130 interrupted, and put right.",
)
for command in (
    ship_cli.deploy,
    ship_cli.rollback,
    ship_cli.diff,
    ship_cli.releases,
    watch_cli.watch,
    image_cli.images,
    sbom.sbom,
    bundle.bundle,
    backup_cli.backup,
    restore_cli.restore,
    backup_cli.rehearse,
    backup_cli.fetch,
    doctor,
    helm_values,
    upgrade,
    upgrade_back,
):
    app.command()(command)
app.command("backups")(backup_cli.list_backups)
app.command("to-build", hidden=True)(bundle.to_build)
app.command("rotate-secrets")(rotation.rotate_secrets)
app.add_typer(location_app, name="location")


def main() -> None:
    """Run a command; what goes wrong is one line, never a traceback."""
    # A CI that cancels sends SIGTERM.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except StackctlError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except Interrupted:
        complain("interrupted; what was under way is undone or finished")
        sys.exit(INTERRUPTED)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Ctrl-C comes twice, from the terminal and from uv; the second must not end the tidying up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted
