"""Where a release's image comes from: this checkout, a registry, or what is kept here."""

from __future__ import annotations

from stackctl.docker import DockerError, docker, inspect
from stackctl.errors import StackctlError
from stackctl.service import Service

_LINES_OF_A_FAILED_BUILD = 15


def build(service: Service) -> str:
    """Build the location from this checkout; the image's id. What Compose would start stays."""
    name = service.release_image("next")
    # The compose file takes a location's image from this variable, if it is set.
    variable = {f"{service.location.upper()}_IMAGE": name}
    try:
        docker("compose", "--progress=plain", "build", service.location, environment=variable)
    except DockerError as error:
        lines = error.output.strip().splitlines()[-_LINES_OF_A_FAILED_BUILD:]
        raise StackctlError(
            "the build failed; what serves was not touched:\n  " + "\n  ".join(lines)
        ) from None
    return _id(name)


def pull(service: Service, reference: str) -> str:
    """Get an image from its registry; its id."""
    if not inspect("image", reference):
        docker("image", "pull", "--quiet", reference)
    found = inspect("image", reference)[0]
    title = (found["Config"].get("Labels") or {}).get("org.opencontainers.image.title")
    if title != service.location:
        raise StackctlError(
            f"image {reference} is not one of {service.location}: its label"
            f" org.opencontainers.image.title is {title!r}"
        )
    return str(found["Id"])


def kept(service: Service, release: str) -> str:
    """A release's image that is kept on the engine; its id."""
    if not inspect("image", service.release_image(release)):
        raise StackctlError(
            f"release {release!r} of {service.location} is not kept on this engine. Fix:"
            f" make releases LOCATION={service.location}"
        )
    return _id(service.release_image(release))


def _id(name: str) -> str:
    return str(inspect("image", name)[0]["Id"])
