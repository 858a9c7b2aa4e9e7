"""`stackctl sbom`: a bill of materials for each image of ours, as CycloneDX 1.6.

Its Debian and Python packages, read from the image itself, and not from what it was built from.
Programs that came by neither way are not found; images of ours have none but what their base
images bring. BuildKit's own scanner is an image of a registry, and uv knows lock files only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import typer

from stackctl.console import say, step
from stackctl.docker import ROOT, docker, inspect
from stackctl.errors import StackctlError
from stackctl.stack import Stack

# Run by an image's shell: a line for each package, of those of Python their folders.
_LOOK = (
    r"dpkg-query --show --showformat='deb ${Package} ${Version} ${Architecture}\n' && "
    r"find / -xdev -path '*-packages/*.dist-info/METADATA' -printf 'pypi %h\n'"
)
_DEBIAN = re.compile(r"deb (\S+) (\S+) (\S+)")
_PYTHON = re.compile(r"pypi .*/([^/-]+)-([^/-]+)\.dist-info")


def sbom(
    image: Annotated[str, typer.Option(help="This one instead of all that the stack builds.")] = "",
    into: Annotated[Path, typer.Option(help="The folder to write to.")] = ROOT / "sbom",
) -> None:
    """Write what is in each image, its Debian and Python packages, as CycloneDX 1.6 (JSON).

    Images of others come with their makers' own.
    """
    services = Stack.load().config["services"].values() if not image else ()
    names = sorted({each["image"] for each in services if "build" in each}) or [image]
    found = {name: inspect("image", name) for name in names}
    if missing := [name for name in names if not found[name]]:
        raise StackctlError(f"no image {', '.join(missing)} here. Fix: make build")
    into.mkdir(parents=True, exist_ok=True)
    for name in names:
        with step(f"Looking into {name}"):
            content = packages(name)
        path = into / f"{file_name(name)}.cdx.json"
        path.write_text(document(name, found[name][0]["Id"], content) + "\n")
        say(f"{path}: {len(content)} packages")


def packages(image: str) -> list[dict[str, str]]:
    """What is in an image, as components; raises StackctlError if there is no looking."""
    listed = docker(
        *("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--user=0:0"),
        *("--entrypoint=sh", image, "-c", _LOOK),
    )
    found = {each["purl"]: each for each in map(component, listed.splitlines())}
    if not any(url.startswith("pkg:deb/") for url in found):
        raise StackctlError(f"image {image}: no Debian packages were found in it")
    return [found[url] for url in sorted(found)]


def component(line: str) -> dict[str, str]:
    """The package of one line; raises StackctlError for one that names none."""
    if match := _DEBIAN.fullmatch(line):
        name, version, architecture = match.groups()
        url = f"pkg:deb/debian/{quote(name)}@{quote(version, safe=':')}?arch={architecture}"
    elif match := _PYTHON.fullmatch(line):
        # PyPI knows a name in one spelling.
        name, version = re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]
        url = f"pkg:pypi/{name}@{quote(version)}"
    else:
        raise StackctlError(f"unexpected line in the list of an image's contents: {line!r}")
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def document(image: str, image_id: str, content: Iterable[dict[str, str]]) -> str:
    """A CycloneDX document, in JSON, of an image with this content."""
    components = list(content)
    urls = [each["purl"] for each in components]
    subject = {"type": "container", "bom-ref": image_id, "name": image, "version": image_id}
    bill: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid4()}",
        "metadata": {"component": subject},
        "components": components,
        "dependencies": [{"ref": image_id, "dependsOn": urls}],
    }
    return json.dumps(bill, indent=2)


def file_name(image: str) -> str:
    """A file's name for an image's: its last part, without ``:live``."""
    return image.rpartition("/")[2].removesuffix(":live").replace(":", "-").replace("@", "-")
