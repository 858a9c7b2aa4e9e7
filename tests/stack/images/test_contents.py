"""What is in the images."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from harness import REPOSITORY, Stack


def locked(project: str) -> dict[str, str]:
    """Versions by name, of a project's lock file."""
    lock = tomllib.loads((REPOSITORY / project / "uv.lock").read_text())
    return {each["name"]: each["version"] for each in lock["package"] if "version" in each}


def bill(stack: Stack, image: str, folder: Path) -> set[str]:
    """Package URLs, without qualifiers, of the bill of materials of one of the stack's images."""
    name = f"{stack.project}/{image}:live"
    command = ("deploy/stackctl/stackctl", "sbom", f"--image={name}", f"--into={folder}")
    path = folder / f"{image}.cdx.json"
    assert str(path) in stack.run(*command)
    document = json.loads(path.read_text())
    assert document["metadata"]["component"]["name"] == name
    return {each["purl"].partition("?")[0] for each in document["components"]}


def test_an_image_has_a_bill_of_materials(stack: Stack, tmp_path: Path) -> None:
    """One image of each base; that all images get a bill is a unit test of stackctl."""
    packages = bill(stack, "elt", tmp_path)
    assert f"pkg:pypi/dagster@{locked('code_locations/elt')['dagster']}" in packages
    # Of the control plane alone.
    assert not any(purl.startswith("pkg:pypi/dagster-webserver@") for purl in packages)
    packages = bill(stack, "web-gateway", tmp_path)
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in packages)
    assert not any(purl.startswith("pkg:pypi/dagster") for purl in packages)


# Imports a module, and prints those modules that Python had to compile for it.
IMPORT = """
import importlib, pathlib, sys
importlib.import_module(sys.argv[1])
compiled = {name: getattr(each, "__cached__", None) for name, each in list(sys.modules.items())}
print([name for name, path in compiled.items() if path and not pathlib.Path(path).exists()])
"""


@pytest.mark.parametrize(
    ("image", "module"),
    [
        ("elt", "elt.definitions"),
        ("control-plane", "control_plane.daemon"),
        ("docker-gateway", "docker_gateway.server"),
        ("secrets", "argparse"),
    ],
)
def test_nothing_is_compiled_at_a_start(stack: Stack, image: str, module: str) -> None:
    """Neither ours, nor packages, nor the standard library, which the base image has uncompiled."""
    options = ("--rm", "--read-only", "--network=none", "--entrypoint=python")
    name = f"{stack.project}/{image}:live"
    said = stack.run("docker", "run", *options, name, "-c", IMPORT, module)
    assert said.splitlines()[-1] == "[]"


def test_an_image_that_is_not_there(stack: Stack, tmp_path: Path) -> None:
    command = ("deploy/stackctl/stackctl", "sbom", "--image=none/such:1", "--into", str(tmp_path))
    said = stack.run(*command, check=False)
    assert "no image none/such:1" in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())
