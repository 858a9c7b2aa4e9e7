"""Calls on images: of code locations only, and never under another name than a release's."""

from __future__ import annotations

from docker_gateway.call import Call, Outcome
from docker_gateway.engine import VERSION, EngineCall
from docker_gateway.images import DIGEST, ID, RELEASE, repository_of
from docker_gateway.refusal import Refusal
from docker_gateway.stack import Stack


async def inspect(stack: Stack, call: Call) -> Outcome:
    """Inspect an image of a code location."""
    repository = repository_of(call.name)
    async for each in stack.likely_services():
        names = {each.image_id, each.image_name, each.release}
        if call.name in names or repository in each.repositories:
            return EngineCall("GET", f"{VERSION}/images/{call.name}/json")
    raise Refusal(f"image {call.name} is not one of this stack's code locations")


async def tag(stack: Stack, call: Call) -> Outcome:
    """Give a served image the name of its release."""
    repository, tag = call.query.get("repo", ""), call.query.get("tag", "")
    if not ID.fullmatch(call.name) or not RELEASE.fullmatch(tag):
        raise Refusal("only an image id gets a release's name")
    templates = await stack.services()
    releases = {f"{stack.project}/{each.location}" for each in templates}
    served = any(
        each.image_id == call.name and each.image_repository == repository for each in templates
    )
    if repository not in releases or not served:
        raise Refusal(f"image {call.name} is not served as {repository}")
    named = await stack.image(f"{repository}:{tag}")
    if named is not None and named["Id"] != call.name:
        raise Refusal(f"{repository}:{tag} is another image, and a release stays what it is")
    return EngineCall("POST", f"{VERSION}/images/{call.name}/tag", {"repo": repository, "tag": tag})


async def pull(stack: Stack, call: Call) -> Outcome:
    """Fetch an image that a code location's service names."""
    repository, digest = call.query.get("fromImage", ""), call.query.get("tag", "")
    if not DIGEST.fullmatch(digest):
        raise Refusal("images are pulled by digest only")
    allowed = {name for each in await stack.services() for name in each.repositories}
    # What the stack builds itself is in no registry; there its name could be anybody's.
    if repository not in allowed or repository.startswith(f"{stack.project}/"):
        raise Refusal(f"images are not pulled from {repository or 'nowhere'}")
    query = {"fromImage": repository, "tag": digest}
    return EngineCall("POST", f"{VERSION}/images/create", query)
