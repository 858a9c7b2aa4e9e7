"""What a release has to show before anybody gets it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from stackctl.changes import count
from stackctl.console import listed
from stackctl.control_plane import PORT, ControlPlane, answer
from stackctl.docker import begin, inspect, started
from stackctl.errors import REFUSED, StackctlError
from stackctl.service import Container, Service
from stackctl.waiting import until

_LOG_LINES = 400
# What the control plane's command has, beside the time that a release may take to serve.
_REPORT_S = 30
# An exception's own line: its class, with or without modules, and what it says.
_CAUSE = re.compile(r"^(\w+\.)*\w*(Error|Exception|Exit|Interrupt)\w*(:|$)|^entrypoint: ")


class Refused(StackctlError):
    """The gate does not let a release pass; nothing that serves was touched."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the gate refuses this release: {why}", REFUSED)


def examine(
    service: Service,
    control: ControlPlane,
    candidate: Container,
    seconds: float,
    allow_clash: bool,
) -> dict[str, Any]:
    """What the candidate and the live server define, see `control-plane compare`.

    Raises Refused when the candidate ends, does not serve within ``seconds``, cannot be
    understood, or has something against it; with ``allow_clash``, names that another location has
    are ignored.
    """
    network = service.rpc_network
    live = service.serving()
    serving = live.address(network) if live else ""
    beside = [f"--live={serving}:{PORT}"] if serving else []
    address = f"{candidate.address(network)}:{PORT}"
    # A location's name is its service's and its host's.
    names = (name for name in service.stack.locations if name != service.location)
    others = [f"--other={name}:{PORT}" for name in names]
    compare = ("compare", address, *beside, *others, f"--seconds={seconds:.0f}")
    limit = seconds + _REPORT_S
    with (
        control.started(*compare, seconds=limit) as report,
        started("container", "wait", candidate.id) as end,
    ):
        wait([report, end], limit, FIRST_COMPLETED)
        if end.done():
            code = end.result().strip()
            raise Refused(f"its code server ended with exit code {code}: {_why(candidate)}")
        if not report.done():
            raise Refused(f"no response within {limit:g} s")
        found: dict[str, Any] = json.loads(_its_own_words(report))
        _wait_until_healthy(candidate, seconds)
    for objection in objections(found, variables(candidate.environment), allow_clash):
        raise Refused(objection)
    return found


def objections(
    report: Mapping[str, Any], present: Iterable[str], allow_clash: bool = False
) -> list[str]:
    """What speaks against a release, worst first; ``present`` are its environment's variables."""
    candidate, live, ours = report["candidate"], report["live"], report["control_plane"]
    found = []
    theirs = candidate["dagster"]
    if theirs and _series(theirs) > _series(ours):
        found.append(
            f"it is built with Dagster {theirs}, and the control plane with {ours}, which cannot"
            " read what a newer one writes. Fix: upgrade deploy/control_plane first"
        )
    if count(candidate["definitions"]) == 0:
        before = f"; what serves now has {count(live['definitions'])}" if live else ""
        found.append(f"it loads, and defines no asset, job, schedule or sensor{before}")
    if missing := sorted(set(candidate["variables"]) - set(present)):
        readers = [f"{name} (for {listed(candidate['variables'][name])})" for name in missing]
        found.append(
            f"variables that its resources read are not set: {listed(readers, '; ')}."
            " Fix: give them to the"
            " service in docker-compose.yml, or as NAME_FILE=/run/secrets/..."
        )
    if not candidate["image"]:
        found.append(
            "its code server does not name its image, so runs could not keep it. Fix: set"
            " DAGSTER_IMAGE_REPOSITORY for the service in docker-compose.yml"
        )
    new = [] if allow_clash else [one for one in report["clashes"] if one["new"]]
    if new:
        found.append(
            f"other locations define this, too: {named(new)}. Fix: rename it here, or remove it"
            " there first; ALLOW_CLASH=1 ships it all the same"
        )
    return found


def named(clashes: Sequence[Mapping[str, Any]]) -> str:
    """Definitions that other locations have, too, with these; the first few of many."""
    return listed(
        [f"{one['kind']} {one['name']} ({', '.join(one['locations'])})" for one in clashes]
    )


def variables(environment: Iterable[str]) -> set[str]:
    """Names that are set in a location's processes; the entrypoint reads NAME_FILE into NAME."""
    names = {line.split("=", 1)[0]: line.partition("=")[2] for line in environment}
    files = {name.removesuffix("_FILE") for name, value in names.items() if _is_secret(name, value)}
    return set(names) | files


def cause(log: str) -> str:
    """The line of a log that says why a code server ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    causes = [line for line in lines if _CAUSE.match(line)]
    # Dagster's own wrap what happened, before or after it.
    own = [line for line in causes if not line.startswith("dagster")]
    if causes:
        return (own or causes)[-1]
    return lines[-1] if lines else "it has written no log"


def _is_secret(name: str, value: str) -> bool:
    return name.endswith("_FILE") and value.startswith("/run/secrets/")


def _series(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _its_own_words(report: Future[str]) -> str:
    try:
        return answer(report, 0)
    except StackctlError as error:
        raise Refused(str(error)) from None


def _wait_until_healthy(candidate: Container, seconds: float) -> None:
    def health() -> str:
        state = inspect("container", candidate.id)[0]["State"]
        return str(state.get("Health", {}).get("Status", "healthy"))

    if not until(lambda: health() == "healthy", seconds, 0.1):
        raise Refused(f"it serves, and Docker's probe of it is {health()}")


def _why(candidate: Container) -> str:
    process = begin("container", "logs", f"--tail={_LOG_LINES}", candidate.id)
    out, err = process.communicate()
    oom = inspect("container", candidate.id)[0]["State"].get("OOMKilled")
    return "it ran out of memory" if oom else cause(err + out)
