"""An image is built where packages come from a mirror alone, by a proxy and an authority's word."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from company_network import MIRROR, PASSWORD, USER, Company, company

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[3]
PROJECT = """[project]
name = "tiny"
version = "0"
requires-python = ">=3.11,<3.14"
dependencies = ["idna"]
"""
ASK = f"""
import urllib.request
print(urllib.request.urlopen("https://{MIRROR}/open").read().decode())
"""


def docker(*command: str) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Company]:
    gateway = "{{(index .IPAM.Config 0).Gateway}}"
    bridge = docker("network", "inspect", "bridge", "--format", gateway).strip()
    (tmp_path / "ca").mkdir()
    with company(tmp_path / "ca", bridge) as found:
        yield found


@pytest.fixture
def netrc(tmp_path: Path) -> Path:
    path = tmp_path / "netrc"
    path.write_text(f"machine {MIRROR} login {USER} password {PASSWORD}\n")
    return path


@pytest.fixture
def tag() -> Iterator[str]:
    name = f"stack-test-company-{uuid.uuid4().hex[:8]}"
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True)


def location(folder: Path) -> Path:
    """A code location with one dependency."""
    (folder / "src/tiny").mkdir(parents=True)
    (folder / "src/tiny/definitions.py").write_text("import idna\n")
    (folder / "pyproject.toml").write_text(PROJECT)
    lock = [str(ROOT / "deploy/tools/uv"), "lock", "--quiet", "--project", str(folder)]
    subprocess.run(lock, check=True)
    return folder


def build(
    network: Company, netrc: Path, tag: str, dockerfile: str, context: Path, wanted: str, *more: str
) -> None:
    """Build one of our images where only the mirror has packages; ``wanted`` is one of them."""
    built = docker(
        *("build", "--progress=plain", "--no-cache", "--tag", tag),
        *("--file", str(ROOT / dockerfile)),
        *("--build-context", f"runtime={ROOT / 'deploy/code_location'}"),
        *("--build-context", f"packages={ROOT / 'packages'}"),
        *("--build-context", f"ca={network.authority.parent}"),
        *("--build-context", f"wheels={ROOT / 'deploy/wheels'}"),
        *("--secret", f"id=netrc,src={netrc}"),
        *("--build-arg", f"HTTPS_PROXY={network.proxy}"),
        *("--build-arg", f"PIP_INDEX_URL={network.index}"),
        *("--build-arg", f"UV_DEFAULT_INDEX={network.index}"),
        *more,
        str(context),
    )
    # Both installers asked the mirror, and nobody asked for anything else.
    assert {f"/simple/{name}/" for name in ("uv", wanted)} <= set(network.asked)
    assert set(network.tunnels) == {f"{MIRROR}:443"}
    # Neither the password nor the proxy is in the image or in what the build says.
    said = docker("history", "--no-trunc", tag) + docker("image", "inspect", tag) + built
    assert PASSWORD not in said
    assert network.proxy not in docker("history", "--no-trunc", tag)


@pytest.mark.parametrize(
    ("dockerfile", "context", "wanted"),
    [
        ("deploy/control_plane/Dockerfile", ".", "dagster"),
        ("deploy/gateway/docker/Dockerfile", "deploy/gateway/docker", "aiohttp"),
    ],
)
def test_images_of_the_control_plane(
    network: Company, netrc: Path, tag: str, dockerfile: str, context: str, wanted: str
) -> None:
    build(network, netrc, tag, dockerfile, ROOT / context, wanted)
    docker("run", "--rm", "--entrypoint=python", tag, "-c", f"import {wanted}")


def test_an_image_of_a_location(network: Company, netrc: Path, tag: str, tmp_path: Path) -> None:
    dockerfile, context = "deploy/code_location/Dockerfile", location(tmp_path / "tiny")
    build(network, netrc, tag, dockerfile, context, "idna", "--build-arg=LOCATION=tiny")
    files = docker("run", "--rm", "--entrypoint=sh", tag, "-c", "ls -A /root /app 2>&1; env")
    assert PASSWORD not in files and ".netrc" not in files
    # And a run trusts the authority.
    proxy = f"--env=HTTPS_PROXY={network.proxy}"
    assert "reached" in docker("run", "--rm", proxy, tag, "python", "-c", ASK)
