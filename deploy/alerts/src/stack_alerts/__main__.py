"""The command of the service `alerts`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import psycopg2
import typer

from stack_alerts.channels import Channels, shown
from stack_alerts.database import Database
from stack_alerts.files import Places
from stack_alerts.outage import Outage
from stack_alerts.sending import Sender, failing
from stack_alerts.settings import STACK, SettingsError
from stack_alerts.watching import EVERY_S, Watch

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_ALIVE = Path("/tmp/alive")  # noqa: S108 - a tmpfs of the container's own
_LOOK_S = 1.0


def _path(name: str, default: str) -> Path:
    return Path(os.environ.get(name, default))


def _channels() -> Channels:
    return Channels(_path("ALERTS_SECRETS", "/run/secrets"))


def _database() -> Database:
    return Database(_path("ALERTS_SECRETS", "/run/secrets") / "dagster_alerts_password")


def _places() -> Places:
    return Places(
        _path("ALERTS_FILE", "/etc/alerts/alerts.yaml"),
        _path("ALERTS_LOCATIONS", "/code_locations"),
        _path("ALERTS_RULES", "/etc/prometheus/alerts.yml"),
    )


def say(text: str) -> None:
    """One line of the log."""
    print(text, file=sys.stderr, flush=True)


def _fail(text: str) -> typer.Exit:
    for line in text.splitlines():
        say(f"error: {line}")
    return typer.Exit(1)


@app.command()
def serve() -> None:
    """Look, and tell, until SIGTERM."""
    channels = _channels()
    url = os.environ.get("ALERTS_URL", "http://localhost:3000").rstrip("/")
    outage = Outage(_path("ALERTS_STATE", "/var/lib/alerts") / "outage.json", channels, say, url)
    prometheus = os.environ.get("PROMETHEUS_URL", "http://prometheus:9090/prometheus")
    watch = Watch(_database(), _places(), channels, prometheus, url, outage, say)
    watch.every_s = float(os.environ.get("ALERTS_INTERVAL_S") or EVERY_S)
    try:
        watch.start()
    except SettingsError as error:
        raise _fail(str(error)) from None
    for problem in (watch.files.problems if watch.files else {}).values():
        say(f"not used: {problem}")
    if not channels.names().get(STACK):
        say("the stack has no channel yet. Fix: make alert-channel NAME=...")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    sender = Sender(_database(), channels, say)

    def send() -> None:
        while sender.round() and not stop.is_set():
            pass

    def look() -> None:
        watch.look()
        _ALIVE.touch()

    for work, every_s in ((look, watch.every_s), (send, _LOOK_S)):
        # Daemons: one that waits for a provider keeps nobody from leaving.
        threading.Thread(target=_repeat, args=(work, every_s, stop), daemon=True).start()
    say("watching")
    stop.wait()


def _repeat(work: Callable[[], None], every_s: float, stop: threading.Event) -> None:
    """Until told to stop; what fails is said once, and tried again."""
    said = ""
    while not stop.is_set():
        began = time.monotonic()
        try:
            work()
            said = ""
        except Exception as error:
            # Whatever it is, what tells people of failures goes on.
            reason = str(error).strip() or type(error).__name__
            text = f"{work.__name__}: {reason.splitlines()[0]}"
            if text != said and not isinstance(error, psycopg2.OperationalError):
                say(text)
            said = text
        stop.wait(max(0.0, every_s - (time.monotonic() - began)))


@app.command()
def check() -> None:
    """Read every alerts.yaml, and say what is wrong; nothing is sent."""
    try:
        files = _places().load(_channels().names())
    except SettingsError as error:
        raise _fail(str(error)) from None
    if files.problems:
        raise _fail("\n".join(files.problems.values()))
    others = ", ".join(sorted(files.locations)) or "no code location"
    print(f"alerts.yaml is valid: of the stack, and of {others}")


@app.command()
def test(
    location: Annotated[str, typer.Option(help="Its channels; all by default.")] = "",
) -> None:
    """Send a message to each channel, and say of each whether it was taken."""
    channels = _channels()
    names = channels.names()
    if location:
        names = {location: names.get(location, [])}
    pairs = [(audience, name) for audience, found in names.items() for name in found]
    if not pairs:
        fix = f"make alert-channel NAME=...{f' LOCATION={location}' if location else ''}"
        raise _fail(f"{shown(location)} has no channel. Fix: {fix}")
    failed = 0
    for audience, name in pairs:
        text = f"A test message of Dagster's alerts, channel {name} of {shown(audience)}."
        failure = channels.send(audience, name, "note", "Test of alerts", text)
        failed += bool(failure)
        print(f"{shown(audience)}: {name}: {f'FAILED: {failure}' if failure else 'taken'}")
    if failed:
        fix = "make alert-channel stores another URL"
        raise _fail(f"{failed} of {len(pairs)} channels failed, see above. Fix: {fix}")


@app.command()
def status() -> None:
    """Open incidents and channels that fail, a line each."""
    try:
        with _database().transaction() as cursor:
            cursor.execute(
                "SELECT severity, location, title, count, opened_at FROM alerts.incident"
                " WHERE closed_at IS NULL ORDER BY severity <> 'critical', opened_at"
            )
            incidents = cursor.fetchall()
            broken = failing(cursor)
    except psycopg2.Error as error:
        raise _fail(f"alerts: {str(error).strip().splitlines()[0]}") from None
    print(f"alerts: {len(incidents)} open" if incidents else "alerts: nothing is wrong")
    for each in incidents[:20]:
        times = f", {each['count']} times" if each["count"] > 1 else ""
        print(
            f"  {each['severity']} {shown(each['location'])}: {each['title']}"
            f" (since {each['opened_at']:%Y-%m-%d %H:%M} UTC{times})"
        )
    if len(incidents) > 20:
        print(f"  and {len(incidents) - 20} more")
    if not _channels().names().get(STACK):
        print("  the stack has no channel: nobody is told. Fix: make alert-channel NAME=...")
    for each in broken:
        print(
            f"  FAILED: channel {each['name']} of {shown(each['location'])} since"
            f" {each['failing_since']:%Y-%m-%d %H:%M} UTC: {each['error']}"
        )


if __name__ == "__main__":
    app()
