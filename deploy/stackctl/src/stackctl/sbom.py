"""The bill of materials of an image: its Debian and Python packages, as CycloneDX 1.6.

Read from the image itself, not from what it was built from. Programs that came by neither way
are not found; images of ours have none but what their base images bring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from stackctl.docker import docker
from stackctl.errors import StackctlError

LOOK = (
    r"dpkg-query --show --showformat='deb ${Package} ${Version} ${Architecture}\n' && "
    r"find / -xdev -path '*-packages/*.dist-info/METADATA' -printf 'pypi %h\n'"
)
"""Run by an image's shell: a line for each package, of those of Python their folders."""

_DEBIAN = re.compile(r"deb (?P<name>\S+) (?P<version>\S+) (?P<architecture>\S+)")
_PYTHON = re.compile(r"pypi .*/(?P<name>[^/-]+)-(?P<version>[^/-]+)\.dist-info")


def packages(image: str) -> list[PackageURL]:
    """Package URLs of what is in an image, sorted; raises StackctlError if there is no looking."""
    listed = docker(
        *("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--user=0:0"),
        *("--entrypoint=sh", image, "-c", LOOK),
    )
    found = {url(line.strip()) for line in listed.splitlines() if line.strip()}
    if not any(package.type == "deb" for package in found):
        raise StackctlError(f"image {image}: no Debian packages were found in it")
    return sorted(found, key=str)


def url(line: str) -> PackageURL:
    """The package URL of one line; raises StackctlError for one that names no package."""
    if match := _DEBIAN.fullmatch(line):
        qualifiers = {"arch": match["architecture"]}
        return PackageURL("deb", "debian", match["name"], match["version"], qualifiers)
    if match := _PYTHON.fullmatch(line):
        # PyPI knows a name in one spelling.
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        return PackageURL("pypi", None, name, match["version"])
    raise StackctlError(f"unexpected line in the list of an image's contents: {line!r}")


def document(image: str, image_id: str, found: Iterable[PackageURL]) -> str:
    """A CycloneDX document, in JSON, of an image with this content."""
    subject = Component(name=image, version=image_id, type=ComponentType.CONTAINER)
    subject.properties.add(Property(name="oci:image:id", value=image_id))
    bom = Bom()
    bom.metadata.component = subject
    for package in found:
        bom.components.add(
            Component(
                name=package.name,
                version=package.version,
                type=ComponentType.LIBRARY,
                purl=package,
                bom_ref=str(package),
            )
        )
    bom.register_dependency(subject, bom.components)
    written: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return written
