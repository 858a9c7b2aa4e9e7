"""A run that does not match its location's release is refused; the message names both."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun
from dagster._core.code_pointer import (
    CodePointer,
    CustomPointer,
    FileCodePointer,
    ModuleCodePointer,
)
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from compose_run_launcher import images
from compose_run_launcher.belongs import (
    REQUESTED_BY_TAG,
    contract,
    disagreement,
    foreign_image,
    repositories,
    repository_of,
    serialized,
)
from compose_run_launcher.engine import Engine
from compose_run_launcher.launching import Launches, LaunchRefused
from compose_run_launcher.release import Release, Releases

RUN = "00000000-0000-0000-0000-000000000001"
PYTHON = "/app/.venv/bin/python"
POINTER = ModuleCodePointer("elt.definitions", "defs", "/app")
RELEASE = Release("s/elt:1", PYTHON, (serialized(POINTER),), (PYTHON, "-m", "dagster"))
SYSTEM = CustomPointer(ModuleCodePointer("os", "system"), ["id"], [])
SERVICE: dict[str, Any] = {
    "Id": "service",
    "Image": "sha256:1",
    "Config": {
        "Image": "s/elt:live",
        "WorkingDir": "/app",
        "Env": ["DAGSTER_IMAGE_REPOSITORY=s/elt", "DAGSTER_MODULE_NAME=elt.definitions"],
        "Labels": {
            "com.docker.compose.service": "elt",
            "compose_run_launcher.role": "code-location",
        },
    },
    "NetworkSettings": {"Networks": {}},
}
IMAGE = {
    "Config": {
        "WorkingDir": "/app",
        "Env": ["PATH=/app/.venv/bin:/usr/bin", "DAGSTER_MODULE_NAME=elt.definitions"],
    }
}
CONTRACT = contract(SERVICE, IMAGE)


def run(
    pointer: CodePointer = POINTER,
    python: str = PYTHON,
    image: str = "s/elt:1",
    entry_point: list[str] | None = None,
    location: str = "elt",
) -> DagsterRun:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
    code = RepositoryPythonOrigin(python, pointer, image, entry_point)
    return DagsterRun(
        job_name="job",
        run_id=RUN,
        remote_job_origin=RemoteJobOrigin(repository, "job"),
        job_code_origin=JobPythonOrigin("job", code),
    )


@pytest.mark.parametrize("known", [RELEASE, CONTRACT])
@pytest.mark.parametrize("entry_point", [None, ["dagster"], [PYTHON, "-m", "dagster"]])
def test_what_belongs(known: Any, entry_point: list[str] | None) -> None:
    assert disagreement(run(entry_point=entry_point), "elt", known) is None


@pytest.mark.parametrize("known", [RELEASE, CONTRACT])
@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (run(SYSTEM), ["its code pointer is", "os", "location elt is loaded by"]),
        (run(FileCodePointer("/tmp/x.py", "defs")), ["/tmp/x.py", "elt.definitions"]),
        (run(ModuleCodePointer("os", "system", "/app")), ["its code pointer is"]),
        (run(ModuleCodePointer("elt.definitions", "defs", "/tmp")), ["/tmp", "/app"]),
        (run(python="/bin/sh"), ["its interpreter is /bin/sh", "location elt is executed by"]),
        (run(python="/tmp/python"), ["its interpreter is /tmp/python"]),
        (run(entry_point=["sh", "-c", "id"]), ["its entry point is ['sh', '-c', 'id']"]),
    ],
)
def test_what_does_not(known: Any, foreign: DagsterRun, words: list[str]) -> None:
    sentence = disagreement(foreign, "elt", known)
    assert sentence is not None
    assert sentence.startswith(f"run {RUN}: its ")
    for word in words:
        assert word in sentence


def test_a_release_knows_its_attribute_and_a_contract_leaves_it_open() -> None:
    """A former release may have called its definitions otherwise."""
    former = run(ModuleCodePointer("elt.definitions", "definitions", "/app"))
    assert disagreement(former, "elt", RELEASE) is not None
    assert disagreement(former, "elt", CONTRACT) is None


def test_a_service_may_name_another_module_than_its_image() -> None:
    service = {"Config": {**SERVICE["Config"], "Env": ["DAGSTER_MODULE_NAME=scenarios"]}}
    own = run(ModuleCodePointer("scenarios", "defs", "/app"))
    assert disagreement(own, "elt", contract(service, IMAGE)) is None


def test_nothing_is_loaded_by_what_nothing_names() -> None:
    sentence = disagreement(run(), "elt", contract({"Config": {}}, {"Config": {}}))
    assert sentence is not None
    assert "loaded by module a module that nothing names any more" in sentence


def test_what_one_location_requested_does_not_run_as_another() -> None:
    """A backfill is launched where its assets are by then."""
    requested = run().with_tags({REQUESTED_BY_TAG: "elt"})
    assert disagreement(requested, "elt", RELEASE) is None
    assert disagreement(run().with_tags({REQUESTED_BY_TAG: "sales"}), "elt", RELEASE) == (
        f"run {RUN}: it was requested by location sales, and is of elt"
    )


def test_a_run_without_code() -> None:
    assert disagreement(DagsterRun("job", RUN), "elt", RELEASE) == (
        f"run {RUN}: it does not say which code it executes"
    )


def test_a_pointer_of_a_megabyte_is_not_repeated() -> None:
    sentence = disagreement(run(ModuleCodePointer("x" * 1_000_000, "defs")), "elt", RELEASE)
    assert sentence is not None
    assert len(sentence) < 1000


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("s/elt:1", "s/elt"),
        ("s/elt", "s/elt"),
        ("registry:5000/team/elt:1", "registry:5000/team/elt"),
        ("registry:5000/team/elt@sha256:ab", "registry:5000/team/elt"),
        ("registry:5000/team/elt:1@sha256:ab", "registry:5000/team/elt"),
        ("", ""),
    ],
)
def test_repositories_of_images(image: str, repository: str) -> None:
    assert repository_of(image) == repository


@pytest.mark.parametrize(
    ("image", "is_own"),
    [
        ("s/elt:1", True),
        ("s/elt@sha256:ab", True),
        ("registry:5000/team/elt@sha256:ab", True),
        ("s/analytics:1", False),
        ("s/elt-other:1", False),
        ("s/docker-gateway:live", False),
        ("registry:5000/team/analytics@sha256:ab", False),
        ("registry:5000/s/elt:1", False),
        ("elt:1", False),
        ("sha256:ab", False),
        ("", False),
    ],
)
def test_images_of_a_location_are_in_its_own_repositories(image: str, is_own: bool) -> None:
    environment = ["DAGSTER_CURRENT_IMAGE=registry:5000/team/elt@sha256:cd"]
    service = {"Config": {"Image": "sha256:12", "Env": environment}}
    own = repositories(service, "elt", "s")
    sentence = foreign_image(RUN, image, "elt", own)
    assert (sentence is None) == is_own
    if sentence is not None:
        assert f"run {RUN}: its image is {image}, images of location elt are in" in sentence


class UntouchedEngine(Engine):
    """An engine that may be looked at. Any call that changes something fails the test."""

    def __init__(self, service: dict[str, Any]) -> None:
        super().__init__("s")
        self.service = service

    @property
    def api(self) -> Any:
        raise AssertionError("the engine was called")

    def container(self, container_id: str) -> dict[str, Any] | None:
        return None

    def image(self, reference: str) -> dict[str, Any] | None:
        return IMAGE

    def service_containers(self, location: str) -> list[dict[str, Any]]:
        return [self.service]


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (run(SYSTEM), "its code pointer is"),
        (run(python="/bin/sh"), "its interpreter is /bin/sh"),
        (run(image="s/analytics:1"), "its image is s/analytics:1"),
    ],
)
def test_it_is_refused_before_anything_is_created(foreign: DagsterRun, words: str) -> None:
    with DagsterInstance.ephemeral() as instance:
        launches = Launches(UntouchedEngine(SERVICE), instance)
        origin = foreign.job_code_origin
        assert origin is not None
        image = origin.repository_origin.container_image or ""
        with pytest.raises(LaunchRefused, match=words):
            launches.launch(foreign, image, ["python"])
        with pytest.raises(LaunchRefused, match=words):
            launches.resume(foreign, image, ["python"])


def test_a_service_that_is_no_code_location_is_not_copied() -> None:
    service = {**SERVICE, "Config": {**SERVICE["Config"], "Labels": {}}}
    with DagsterInstance.ephemeral() as instance:
        launches = Launches(UntouchedEngine(service), instance)
        with pytest.raises(LaunchRefused, match="service elt is not a code location"):
            launches.launch(run(), "s/elt:1", ["python"])


class TaggingEngine(UntouchedEngine):
    """One that lacks every image, and keeps the names that it is told to give."""

    def __init__(self) -> None:
        super().__init__(SERVICE)
        self.tagged: list[str] = []

    def image(self, reference: str) -> dict[str, Any] | None:
        return None

    def tag(self, image_id: str, reference: str) -> None:
        self.tagged.append(reference)


@pytest.mark.parametrize(
    ("claimed", "tagged"),
    [
        ("s/elt:2", ["s/elt:2"]),
        ("s/analytics:2", []),
        ("s/docker-gateway:live", []),
        ("registry/elt@sha256:ab", []),
    ],
)
def test_a_code_server_names_images_of_its_own_location_only(
    claimed: str, tagged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is given to its image would be started by runs of the other location."""
    answer = Release(claimed, PYTHON, RELEASE.pointers)
    monkeypatch.setattr("compose_run_launcher.release.ask_release", lambda _service: answer)
    engine = TaggingEngine()
    images.pin(engine, SERVICE, Releases())
    assert engine.tagged == tagged
