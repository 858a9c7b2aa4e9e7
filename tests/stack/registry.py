"""A registry that holds one image, as `docker save` writes it; the engine pulls from it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from pytest_httpserver import HTTPServer

from harness import Stack

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def serve(stack: Stack, server: HTTPServer, image: str, folder: Path) -> str:
    """Serve an image of the engine under its digest; the reference to pull it by."""
    archive = folder / "image.tar"
    stack.run("docker", "save", "--output", str(archive), image)
    with tarfile.open(archive) as saved:
        index = json.load(saved.extractfile("index.json") or io.BytesIO(b"{}"))
        digest = str(index["manifests"][0]["digest"])
        blobs = {
            f"sha256:{member.name.rpartition('/')[2]}": _read(saved, member)
            for member in saved
            if member.isfile() and member.name.startswith("blobs/sha256/")
        }
    server.expect_request("/v2/").respond_with_json({})
    for name, blob in blobs.items():
        server.expect_request(f"/v2/team/elt/blobs/{name}").respond_with_data(blob)
    server.expect_request(f"/v2/team/elt/manifests/{digest}").respond_with_data(
        blobs[digest], content_type=_MANIFEST, headers={"Docker-Content-Digest": digest}
    )
    return f"127.0.0.1:{server.port}/team/elt@{digest}"


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream else b""
