"""Why a run's container ended, in words. Pure functions over what the engine reports of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from compose_run_launcher.losses import Fault
from compose_run_launcher.worker import REFUSED, UNREACHABLE

LOG_LINES = 50
# Ends that come from outside: a kill, a stop, and what the engine says of a container that it
# finds dead when it comes back.
_FROM_OUTSIDE = {137, 143, 255, UNREACHABLE}
_NEVER = "0001-01-01"

# Exit codes that say something by themselves: what happened, and what to do.
_BY_EXIT_CODE = {
    0: (
        "its program ended without finishing the run",
        "Look for a call that ends the process, such as sys.exit or os._exit, in the run's code.",
    ),
    1: (
        "its program failed before Dagster could report an error",
        "The last lines of its log name the error; an import that fails is the usual one.",
    ),
    UNREACHABLE: (
        "its worker could not reach Dagster's database for minutes",
        "The last lines of its log say what it waited for. Nothing is wrong with the run.",
    ),
    REFUSED: (
        "its worker refused the run, which is not of its location or not of its code",
        "The last line of its log says what does not belong together; nothing was executed. The"
        " run's row in Dagster's database was changed after it was launched.",
    ),
    78: (
        "its entrypoint refused its settings",
        "The last line of its log names the variable or the secret file.",
    ),
    126: ("its command cannot be executed", "Check entrypoint and command of the image."),
    127: ("its command was not found", "Check entrypoint and command of the image."),
    137: (
        "it was killed (SIGKILL)",
        "Somebody or something outside ended it: docker kill, the host's memory running out, or"
        " a stop that outlasted its grace.",
    ),
    139: (
        "its program crashed (segmentation fault)",
        "A native library failed; faulthandler or a smaller input helps to find which.",
    ),
    143: (
        "it was told to end (SIGTERM) and did",
        "Somebody stopped the container, or Docker Engine was shut down. Launch the run again.",
    ),
    255: (
        "it ended with Docker Engine or with the host",
        "Nothing is wrong with the run. Launch it again, if it was not retried.",
    ),
}

# The same of a run that somebody terminated.
_BY_TERMINATION = {
    137: (
        "its run was terminated, it went on for longer than its grace, and was killed (SIGKILL)",
        "A step that takes KeyboardInterrupt or SIGTERM in time can clean up; its service's"
        " stop_grace_period says how long it may take.",
    ),
    143: ("its run was terminated, and it ended (SIGTERM)", "Nothing is to be done."),
}


def fault(container: Mapping[str, Any]) -> Fault:
    """Whether the container's program, image or limit made it end, so that it would again."""
    state = container["State"]
    broken = state.get("OOMKilled") or state.get("Error")
    return Fault.OWN if broken or state["ExitCode"] not in _FROM_OUTSIDE else Fault.LOST


def explain(container: Mapping[str, Any], log: str, terminated: bool = False) -> str:
    """One text for people: what happened, exit code, memory, life time, last log lines, advice.

    ``container`` is the inspected container, ``log`` the end of what it wrote; ``terminated`` says
    that its run was to end.
    """
    what, advice = _cause(container, terminated)
    state = container["State"]
    name = container["Id"][:12]
    facts = [
        f"exit code {state['ExitCode']}",
        f"killed for memory: {'yes' if state.get('OOMKilled') else 'no'}",
        f"memory limit {_size(container['HostConfig'].get('Memory') or 0)}",
        f"lived {_lifetime(state)}",
    ]
    tail = "\n".join(log.rstrip().splitlines()[-LOG_LINES:])
    return "\n".join(
        [
            f"The run's container {name} ended before the run did: {what}.",
            f"({', '.join(facts)})",
            advice,
            f"Last lines of its log:\n{tail}" if tail else "It wrote nothing to its log.",
        ]
    )


def ended_at(container: Mapping[str, Any]) -> datetime | None:
    """When the container ended; None while it runs or when it never started."""
    state = container["State"]
    return None if state["Running"] else _time(state["FinishedAt"])


def _cause(container: Mapping[str, Any], terminated: bool) -> tuple[str, str]:
    state = container["State"]
    if state.get("OOMKilled"):
        return (
            "it used more memory than its limit",
            "Give the run more by the tag docker/memory, raise the service's mem_limit, or make"
            " the step use less.",
        )
    code = state["ExitCode"]
    if terminated and code in _BY_TERMINATION:
        return _BY_TERMINATION[code]
    if state.get("Error"):
        return f"Docker could not start it ({state['Error']})", "Correct what Docker names."
    if code in _BY_EXIT_CODE:
        return _BY_EXIT_CODE[code]
    if code > 128:
        return f"it was ended by signal {code - 128}", "Look for who sent it."
    return f"its program failed with exit code {code}", "The last lines of its log say more."


def _time(text: str) -> datetime | None:
    if not text or text.startswith(_NEVER):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def _lifetime(state: Mapping[str, Any]) -> str:
    started, finished = _time(state["StartedAt"]), _time(state["FinishedAt"])
    if started is None or finished is None:
        return "not at all"
    return f"{max(0.0, (finished - started).total_seconds()):.1f} s"


def _size(memory: int) -> str:
    return f"{memory / 2**20:.0f} MiB" if memory else "none"
