"""The commands deploy, rollback, diff and releases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from stackctl import build, records, retention
from stackctl.console import out, step
from stackctl.control_plane import ControlPlane
from stackctl.deploy import Outcome, Shipping
from stackctl.lock import lock
from stackctl.release_table import show
from stackctl.service import Service
from stackctl.stack import Stack

Location = Annotated[str, typer.Argument(help="The code location.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result for machines.")]
Wait = Annotated[
    float, typer.Option(help="Seconds to wait while another command changes the location.")
]
Gate = Annotated[float, typer.Option(help="Seconds that the release may take to serve.")]
AllowClash = Annotated[
    bool, typer.Option(envvar="ALLOW_CLASH", help="Ship names that another location has.")
]
Image = Annotated[
    str | None, typer.Option(help="An image in a registry, in place of building one.")
]


def deploy(
    location: Location,
    image: Image = None,
    wait: Wait = 0,
    gate_seconds: Gate = 120,
    allow_clash: AllowClash = False,
    as_json: AsJson = False,
) -> None:
    """Build one location, check it beside the live one, and switch without downtime.

    A release that does not pass the gate changes nothing; one that fails once it is live
    is rolled back.
    """
    with _shipping(location, wait, gate_seconds, allow_clash) as shipping:
        source = image or records.revision(shipping.service)
        outcome = shipping.deploy(lambda: _image(shipping.service, image), "deploy", source)
    _print(outcome, as_json)


def rollback(
    location: Location,
    to: Annotated[str | None, typer.Option(help="A release; by default the one before.")] = None,
    wait: Wait = 0,
    gate_seconds: Gate = 120,
    allow_clash: AllowClash = False,
    as_json: AsJson = False,
) -> None:
    """Go back to a release that is kept, by the same way as forward."""
    with _shipping(location, wait, gate_seconds, allow_clash) as shipping:
        release = to or shipping.previous()
        known = {one.release: one for one in records.read(shipping.control, location)}
        revision = known[release].revision if release in known else "unknown"
        outcome = shipping.deploy(
            lambda: build.kept(shipping.service, release), "rollback", revision
        )
    _print(outcome, as_json)


def diff(
    location: Location,
    image: Image = None,
    wait: Wait = 0,
    gate_seconds: Gate = 120,
    allow_clash: AllowClash = False,
    as_json: AsJson = False,
) -> None:
    """Show what a deploy would change in definitions, without deploying."""
    with _shipping(location, wait, gate_seconds, allow_clash) as shipping:
        outcome = shipping.diff(lambda: _image(shipping.service, image))
    _print(outcome, as_json)


def releases(
    location: Annotated[str | None, typer.Argument(help="By default all locations.")] = None,
    as_json: AsJson = False,
) -> None:
    """List releases: when, revision, by whom, size, what is live, how many runs need it."""
    stack = Stack.load()
    if location:
        stack.check_location(location)
    control = ControlPlane(stack)
    listed: list[dict[str, Any]] = []
    for name in [location] if location else stack.locations:
        service = Service(stack, name)
        serving = service.serving()
        found = retention.releases(service, records.read(control, name), serving)
        if not found:
            # A location that runs another one's image has no releases of its own.
            continue
        uses = Shipping(service, control, 0).uses()
        listed += [
            {
                "location": name,
                "release": one.release,
                "live": bool(serving and serving.content == one.content),
                "when": one.when,
                "revision": (one.record and one.record.revision) or None,
                "by": (one.record and one.record.by) or None,
                "how": one.record.how if one.record else "compose",
                "size_bytes": one.size,
                "runs": uses.get(one.release, 0),
            }
            for one in found
        ]
    if as_json:
        print(json.dumps(listed, indent=2))
    else:
        show(out, listed)


@contextmanager
def _shipping(
    location: str, wait: float, gate_seconds: float, allow_clash: bool
) -> Iterator[Shipping]:
    stack = Stack.load()
    stack.check_location(location)
    control = ControlPlane(stack)
    with lock(stack, location, wait):
        yield Shipping(Service(stack, location), control, gate_seconds, allow_clash)


def _image(service: Service, reference: str | None) -> str:
    if reference:
        with step(f"Getting {reference}"):
            return build.pull(service, reference)
    with step(f"Building {service.location}"):
        return build.build(service)


def _print(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome.to_json(), indent=2))
