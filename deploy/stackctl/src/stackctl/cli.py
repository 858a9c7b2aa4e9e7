"""The command line. Each area of commands has a module of its own, named here."""

from __future__ import annotations

import sys

import typer

from stackctl.console import complain
from stackctl.errors import INTERRUPTED, StackctlError
from stackctl.location.commands import app as location_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Ship, roll back, add and remove code locations of a running stack.",
    epilog="Exit codes: 0 done; 1 failed, nothing changed; 2 not understood; 3 refused by the"
    " gate or a safeguard, nothing changed; 4 rolled back; 5 locked by another command;"
    " 130 interrupted, and put right.",
)


app.add_typer(location_app, name="location")


@app.callback()
def _commands() -> None:
    """So that one command alone is not taken for the program."""


def main() -> None:
    """Run a command; what goes wrong is one line, never a traceback."""
    try:
        app()
    except StackctlError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(INTERRUPTED)
