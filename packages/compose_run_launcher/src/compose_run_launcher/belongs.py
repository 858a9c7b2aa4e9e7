"""Whether a run, its image and its code pointer belong to the run's code location.

A run is a row in a database that others can write to. The daemon starts an image with a
location's secrets because that row says so; so what it says is compared with what the location's
own code server reports, or with how the images of the location are started. Pure functions: the
first disagreement as a sentence, None when there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dagster import DagsterRun

from compose_run_launcher.internals import (
    DEFAULT_DAGSTER_ENTRY_POINT,
    CodePointer,
    ModuleCodePointer,
    RepositoryPythonOrigin,
    get_python_environment_entry_point,
    serialize_value,
)
from compose_run_launcher.release import Release

# Written by the daemon to what a sensor, a schedule or automation of a location requests. It works
# for that location alone, wherever a backfill finds its assets by then.
REQUESTED_BY_TAG = ".dagster/requested_by"
# An error text must not carry a pointer of a megabyte.
_LONGEST = 200


@dataclass(frozen=True)
class EntrypointContract:
    """How images of a location are started, for a release whose server cannot be asked any more.

    The entrypoint serves ``modules`` (``DAGSTER_MODULE_NAME``; of the service, or of the image),
    from ``folders``, by a Python that is found in ``path``. Which attribute of the module holds
    the definitions is the release's own.
    """

    modules: frozenset[str]
    folders: frozenset[str]
    path: tuple[str, ...]


def repositories(service: Mapping[str, Any], location: str, project: str) -> frozenset[str]:
    """Image repositories whose images may run as ``location``: what its service says in Compose."""
    environment = environment_of(service)
    stated = [
        f"{project}/{location}",
        environment.get("DAGSTER_IMAGE_REPOSITORY", ""),
        repository_of(environment.get("DAGSTER_CURRENT_IMAGE", "")),
        repository_of(service["Config"].get("Image") or ""),
    ]
    # A container that was made from an image id states "sha256", which is not a repository.
    return frozenset(name for name in stated if name not in {"", "sha256"})


def repository_of(image: str) -> str:
    """An image reference without its tag and digest."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def environment_of(container_or_image: Mapping[str, Any]) -> dict[str, str]:
    """Variables of an inspected container or image."""
    entries = (container_or_image.get("Config") or {}).get("Env") or []
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def contract(service: Mapping[str, Any], image: Mapping[str, Any]) -> EntrypointContract:
    """How ``image``, inspected, is started in place of the inspected ``service``."""
    both = (service, image)
    variables = [environment_of(one) for one in both]
    folders = {(one.get("Config") or {}).get("WorkingDir") or "/" for one in both}
    return EntrypointContract(
        frozenset(v["DAGSTER_MODULE_NAME"] for v in variables if v.get("DAGSTER_MODULE_NAME")),
        frozenset(folders),
        tuple(variables[1].get("PATH", "").split(":")),
    )


def foreign_image(run_id: str, image: str, location: str, own: frozenset[str]) -> str | None:
    """Says that ``image`` is none of the location's, whose repositories are ``own``."""
    if repository_of(image) in own:
        return None
    return (
        f"run {run_id}: its image is {_short(image)}, images of location {location} are in"
        f" {' or '.join(sorted(own))}"
    )


def disagreement(run: DagsterRun, location: str, known: Release | EntrypointContract) -> str | None:
    """Differences between a run's origin and the way its location's release is loaded."""
    requester = run.tags.get(REQUESTED_BY_TAG, location)
    if requester != location:
        return f"run {run.run_id}: it was requested by location {requester}, and is of {location}"
    if run.job_code_origin is None:
        return f"run {run.run_id}: it does not say which code it executes"
    origin = run.job_code_origin.repository_origin
    entry_points = [
        None,
        DEFAULT_DAGSTER_ENTRY_POINT,
        list(get_python_environment_entry_point(origin.executable_path)),
    ]
    if isinstance(known, Release):
        found = _against_release(origin, known)
        entry_points.append(list(known.entry_point))
    else:
        found = _against_contract(origin, known)
    if found is None and _listed(origin.entry_point) not in entry_points:
        found = f"its entry point is {_short(origin.entry_point)}", "started by `python -m dagster`"
    if found is None:
        return None
    its, expected = found
    return f"run {run.run_id}: {its}, location {location} is {expected}"


def _against_release(origin: RepositoryPythonOrigin, release: Release) -> tuple[str, str] | None:
    if serialized(origin.code_pointer) not in release.pointers:
        return _pointer(origin.code_pointer), f"loaded by {_short(' or '.join(release.pointers))}"
    if origin.executable_path != release.python:
        return _python(origin), f"executed by {release.python}"
    return None


def _against_contract(
    origin: RepositoryPythonOrigin, known: EntrypointContract
) -> tuple[str, str] | None:
    pointer = origin.code_pointer
    modules = " or ".join(sorted(known.modules)) or "a module that nothing names any more"
    if not isinstance(pointer, ModuleCodePointer) or pointer.module not in known.modules:
        return _pointer(pointer), f"loaded by module {modules}"
    if pointer.working_directory is not None and pointer.working_directory not in known.folders:
        return _pointer(pointer), f"loaded in {' or '.join(sorted(known.folders))}"
    python = PurePosixPath(origin.executable_path)
    if not python.name.startswith("python") or str(python.parent) not in known.path:
        return _python(origin), f"executed by a Python in {':'.join(known.path)}"
    return None


def serialized(pointer: CodePointer) -> str:
    """A code pointer as a release states it."""
    # Every class of them can be serialized; their base class does not say so.
    value: Any = pointer
    return serialize_value(value)


def _pointer(pointer: CodePointer) -> str:
    return f"its code pointer is {_short(serialized(pointer))}"


def _python(origin: RepositoryPythonOrigin) -> str:
    return f"its interpreter is {_short(origin.executable_path)}"


def _listed(entry_point: Sequence[str] | None) -> list[str] | None:
    return None if entry_point is None else list(entry_point)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
