"""Images: of code locations only, by names that stay what they are."""

from __future__ import annotations

from typing import Any

import pytest
from engine_stand_in import EngineStandIn
from shop import CREATE, RUN_NAME, VERSION, Answer, Caller, copy_of, run_labels

from docker_gateway.images import Reference

Body = dict[str, Any]
DIGEST = f"sha256:{'d' * 64}"
OTHER = f"sha256:{'0' * 64}"
RELEASE = "abcdefabcdef"
REGISTRY = "registry.example:5000/team/elt"


def refused(engine: EngineStandIn, answer: Answer) -> None:
    """With a reason, and with nothing sent."""
    assert answer.status == 403 and answer.reason, answer
    assert not engine.sent


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("elt", "elt", "", ""),
        ("shop/elt:live", "shop/elt", "live", ""),
        (f"{REGISTRY}@{DIGEST}", REGISTRY, "", DIGEST),
        (f"{REGISTRY}:1.0@{DIGEST}", REGISTRY, "1.0", DIGEST),
        ("registry.example:5000/elt", "registry.example:5000/elt", "", ""),
        ("elt:5000", "elt", "5000", ""),
    ],
)
def test_references(text: str, repository: str, tag: str, digest: str) -> None:
    assert Reference.parse(text) == Reference(repository, tag, digest)


@pytest.mark.parametrize(
    "text", ["", DIGEST, "a//b", "../a", "a/../b", "a:", "a@sha256:1", "a b", "a:b:c", "a/B", "-a"]
)
def test_no_references(text: str) -> None:
    assert Reference.parse(text) is None


@pytest.mark.parametrize(
    "name",
    ["postgres:17-trixie", "python", "shop/control-plane:live", OTHER, "shop/docker-gateway"],
)
def test_only_code_locations_images_are_inspected(
    daemon: Caller, engine: EngineStandIn, service: Body, name: str
) -> None:
    refused(engine, daemon.ask("GET", f"{VERSION}/images/{name}/json"))
    for own in ("shop/elt:live", service["Image"]):
        assert daemon.ask("GET", f"{VERSION}/images/{own}/json").status == 200
    # What is not there may be pulled.
    assert daemon.ask("GET", f"{VERSION}/images/shop/elt:{RELEASE}/json").status == 404


def test_an_image_by_digest_is_inspected(
    daemon: Caller, engine: EngineStandIn, service: Body
) -> None:
    """docker-py writes its @ as %40."""
    service["Config"]["Env"].append(f"DAGSTER_CURRENT_IMAGE={REGISTRY}@{DIGEST}")
    target = f"{VERSION}/images/{REGISTRY}%40{DIGEST}/json"
    assert daemon.ask("GET", target).status == 404
    assert engine.requests[-1].line == f"GET {VERSION}/images/{REGISTRY}@{DIGEST}/json"


@pytest.mark.parametrize(
    ("image", "query"),
    [
        ("postgres:17-trixie", f"repo=shop/elt&tag={RELEASE}"),
        (OTHER, f"repo=shop/elt&tag={RELEASE}"),
        ("{own}", f"repo=shop/analytics&tag={RELEASE}"),
        ("{own}", f"repo=shop/docker-gateway&tag={RELEASE}"),
        ("{own}", "repo=shop/elt&tag=live"),
        ("{own}", "repo=shop/elt&tag=latest"),
        ("{own}", "repo=shop/elt&tag=ABCDEFABCDEF"),
        ("{own}", "repo=shop/elt"),
        ("{own}", "repo=postgres&tag=17-trixie"),
        ("{own}", f"tag={RELEASE}"),
    ],
)
def test_tags_that_are_no_releases_of_what_is_served(
    daemon: Caller, engine: EngineStandIn, service: Body, image: str, query: str
) -> None:
    name = image.format(own=service["Image"])
    refused(engine, daemon.ask("POST", f"{VERSION}/images/{name}/tag?{query}"))


def test_a_release_gets_its_name_and_keeps_it(
    daemon: Caller, engine: EngineStandIn, service: Body
) -> None:
    path = f"{VERSION}/images/{service['Image']}/tag?repo=shop/elt&tag={RELEASE}"
    assert daemon.ask("POST", f"{path}&force=0").status == 201
    assert engine.sent[0].line == f"POST {path.replace('/elt&', '%2Felt&')}"
    engine.requests.clear()
    engine.images[OTHER] = {"Id": OTHER, "RepoTags": [f"shop/elt:{RELEASE}"]}
    refused(engine, daemon.ask("POST", path))


def test_a_repository_that_is_another_services(
    daemon: Caller, engine: EngineStandIn, service: Body
) -> None:
    """An image may say where its releases stand, where the service does not."""
    own = service["Config"]["Env"]
    own[own.index("DAGSTER_IMAGE_REPOSITORY=shop/elt")] = (
        "DAGSTER_IMAGE_REPOSITORY=shop/docker-gateway"
    )
    query = f"repo=shop/docker-gateway&tag={RELEASE}"
    refused(engine, daemon.ask("POST", f"{VERSION}/images/{service['Image']}/tag?{query}"))


@pytest.mark.parametrize(
    "query",
    [
        "fromImage=registry.example/evil&tag=latest",
        f"fromImage=registry.example/evil&tag={DIGEST}",
        f"fromImage={REGISTRY}&tag=live",
        f"fromImage={REGISTRY}&tag=latest",
        f"fromImage={REGISTRY}&tag={RELEASE}",
        f"fromImage={REGISTRY}&tag=sha256:abc",
        f"fromImage={REGISTRY}",
        f"fromImage={REGISTRY}@{DIGEST}",
        # What the stack builds itself: in a registry that name could be anybody's.
        f"fromImage=shop/elt&tag={DIGEST}",
        "fromSrc=http://registry.example/evil.tar&repo=shop/elt",
        f"fromSrc=-&repo=shop/elt&tag={RELEASE}",
        f"fromImage=&fromSrc=-&tag={DIGEST}",
        f"fromImage={REGISTRY}&tag={DIGEST}&platform=linux",
        "",
    ],
)
def test_pulls_that_could_bring_anything(
    daemon: Caller, engine: EngineStandIn, service: Body, query: str
) -> None:
    service["Config"]["Env"].append(f"DAGSTER_CURRENT_IMAGE={REGISTRY}@{DIGEST}")
    refused(engine, daemon.ask("POST", f"{VERSION}/images/create?{query}"))


def test_a_pull_by_digest(daemon: Caller, engine: EngineStandIn, service: Body) -> None:
    service["Config"]["Env"].append(f"DAGSTER_CURRENT_IMAGE={REGISTRY}@{DIGEST}")
    # As docker-py asks for it.
    target = f"{VERSION}/images/create?tag={DIGEST}&fromImage={REGISTRY}"
    assert daemon.ask("POST", target).status == 201
    line = engine.sent[0].line
    assert line.startswith(f"POST {VERSION}/images/create?fromImage=registry.example%3A5000%2F")
    assert line.endswith(f"&tag={DIGEST.replace(':', '%3A')}")


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("shop/elt:live", True),
        (f"shop/elt:{RELEASE}", True),
        (DIGEST, True),
        ("postgres:17-trixie", False),
        ("shop/analytics:live", False),
        ("shop/docker-gateway:live", False),
        ("shop/elt:unknown", False),
        (OTHER, False),
        ("../x", False),
    ],
)
def test_the_image_of_a_run_is_a_release_of_its_location(
    daemon: Caller, engine: EngineStandIn, service: Body, image: str, allowed: bool
) -> None:
    engine.images[DIGEST] = {"Id": DIGEST, "RepoTags": [f"shop/elt:{RELEASE}"]}
    engine.images[OTHER] = {"Id": OTHER, "RepoTags": ["postgres:17-trixie"], "RepoDigests": None}
    body = copy_of(service, engine.images[service["Image"]], run_labels()) | {"Image": image}
    answer = daemon.ask("POST", CREATE + RUN_NAME, body)
    if allowed:
        assert answer.status == 201
    else:
        refused(engine, answer)
