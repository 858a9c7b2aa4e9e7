"""`stackctl sbom`: a bill of materials for each image of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackctl.console import say, step
from stackctl.docker import ROOT, inspect
from stackctl.errors import StackctlError
from stackctl.stack import Stack


def sbom(
    image: Annotated[str, typer.Option(help="This one instead of all that the stack builds.")] = "",
    into: Annotated[Path, typer.Option(help="The folder to write to.")] = ROOT / "sbom",
) -> None:
    """Write what is in each image, its Debian and Python packages, as CycloneDX 1.6 (JSON).

    Images of others come with their makers' own.
    """
    # Slow to import, which only this command has to wait for.
    from stackctl.sbom import document, packages

    names = [image] if image else built()
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


def built() -> list[str]:
    """Names of the images that the compose file builds, each once."""
    services = Stack.load().config["services"].values()
    return sorted({service["image"] for service in services if "build" in service})


def file_name(image: str) -> str:
    """A file's name for an image's: its last part, without ``:live``."""
    return image.rpartition("/")[2].removesuffix(":live").replace(":", "-").replace("@", "-")
