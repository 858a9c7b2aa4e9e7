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


def test_an_image_of_a_location(network: Company, tag: str, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {MIRROR} login {USER} password {PASSWORD}\n")
    built = docker(
        *("build", "--progress=plain", "--no-cache", "--tag", tag),
        *("--file", str(ROOT / "deploy/code_location/Dockerfile")),
        *("--build-context", f"runtime={ROOT / 'deploy/code_location'}"),
        *("--build-context", f"packages={ROOT / 'packages'}"),
        *("--build-context", f"ca={network.authority.parent}"),
        *("--secret", f"id=netrc,src={netrc}"),
        *("--build-arg", f"HTTPS_PROXY={network.proxy}", "--build-arg", "LOCATION=tiny"),
        *("--build-arg", f"PIP_INDEX_URL={network.index}"),
        *("--build-arg", f"UV_DEFAULT_INDEX={network.index}"),
        str(location(tmp_path / "tiny")),
    )
    # Both installers asked the mirror, and nobody asked for anything else.
    assert {f"/simple/{name}/" for name in ("uv", "idna")} <= set(network.asked)
    assert set(network.tunnels) == {f"{MIRROR}:443"}
    # Neither the password nor the proxy is in the image or in what the build says.
    said = docker("history", "--no-trunc", tag) + docker("image", "inspect", tag) + built
    assert PASSWORD not in said
    assert network.proxy not in docker("history", "--no-trunc", tag)
    files = docker("run", "--rm", "--entrypoint=sh", tag, "-c", "ls -A /root /app 2>&1; env")
    assert PASSWORD not in files and ".netrc" not in files
    # And a run trusts the authority.
    proxy = f"--env=HTTPS_PROXY={network.proxy}"
    assert "reached" in docker("run", "--rm", proxy, tag, "python", "-c", ASK)
