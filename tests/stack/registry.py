"""A registry that holds one image, as `docker save` writes it; the engine pulls from it."""

from __future__ import annotations

import io
import json
import ssl
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_httpserver import HTTPServer

from harness import Stack

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@contextmanager
def registry(folder: Path) -> Iterator[HTTPServer]:
    """A server on loopback by TLS, where engines accept any certificate.

    Not by HTTP: the engine tries TLS first, and Python's server answers that with no HTTP line.
    """
    certificate, key = folder / "registry.crt", folder / "registry.key"
    subject = ("-subj", "/CN=127.0.0.1", "-days", "2", "-nodes", "-newkey", "rsa:2048")
    command = ("openssl", "req", "-x509", *subject, "-keyout", str(key), "-out", str(certificate))
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server:
        yield server


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
