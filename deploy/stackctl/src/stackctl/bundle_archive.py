"""The archive that `make bundle` writes and `make unbundle` reads.

No import beyond the standard library: it is read where nothing can be installed yet.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
README = "README.md"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
REPOSITORY = "repository.bundle"
IMAGES = "images.tar.gz"
WHEELS_FOLDER = "wheels/"
HEAD = (README, MANIFEST, SUMS)
"""The first members of the archive, in this order."""

PIP_SETTINGS = "pip.conf"
"""In the folder of wheels: with it, they are used."""

_AGAIN = "Fix: copy the archive again, or make it again with `make bundle`"
MEBIBYTE = 1024 * 1024


class Refused(Exception):
    """A message for people: what, which value, and the fix. Nothing was changed."""


@dataclass(frozen=True)
class Bundle:
    """An archive, what it says of itself, and the SHA-256 of each member."""

    path: Path
    manifest: dict[str, Any]
    sums: dict[str, str]

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read the first members alone. Raises Refused for anything else."""
        found: dict[str, bytes] = {}
        with reading(path) as archive:
            for member in archive:
                if member.name not in HEAD:
                    break
                found[member.name] = _content(archive, member)
        if missing := [name for name in HEAD if name not in found]:
            raise Refused(
                f"{path} is not a bundle: it has no {missing[0]}."
                " Fix: name the archive that `make bundle` wrote"
            )
        try:
            manifest: dict[str, Any] = json.loads(found[MANIFEST])
            lines = [line.split("  ", 1) for line in found[SUMS].decode().splitlines()]
            sums = {name: digest for digest, name in lines}
            if sums[MANIFEST] != hashlib.sha256(found[MANIFEST]).hexdigest():
                raise ValueError(MANIFEST)
        except (ValueError, KeyError):
            raise Refused(f"{path} is damaged: its list of contents is invalid. {_AGAIN}") from None
        if manifest.get("format") != FORMAT:
            raise Refused(
                f"{path} has format {manifest.get('format')}, and this checkout reads {FORMAT}."
                f" Fix: check out {manifest.get('commit')}, of which it was made"
            )
        return cls(path, manifest, sums)

    def check_content(self) -> None:
        """Read it all. Raises Refused unless each member is there and as it was made."""
        seen = set()
        with reading(self.path) as archive:
            for member in archive:
                if member.name == SUMS:
                    continue
                seen.add(member.name)
                expected = self.sums.get(member.name)
                if expected is None or not member.isreg() or not _has_its_place(member.name):
                    raise Refused(
                        f"{self.path} holds {member.name!r}, which is not part of a bundle."
                        f" {_AGAIN}"
                    )
                if (found := _digest(archive, member)) != expected:
                    raise Refused(
                        f"{self.path} is damaged: the SHA-256 of {member.name} is {found}, not"
                        f" {expected}. {_AGAIN}"
                    )
        if missing := sorted({*self.sums, REPOSITORY, IMAGES} - seen):
            raise Refused(
                f"{self.path} is incomplete: it has no {missing[0]}"
                f"{f', and {len(missing) - 1} more' if missing[1:] else ''}. {_AGAIN}"
            )

    def check_commit(self, head: str) -> None:
        """Raises Refused unless the checkout is of the bundle's commit."""
        commit = self.manifest["commit"]
        if head != commit:
            raise Refused(
                f"{self.path} is of commit {commit[:12]}, and this checkout is at {head[:12]}."
                f" Fix: git checkout {commit[:12]}; or clone {REPOSITORY}, which is in the archive"
            )

    def check_architecture(self, here: str) -> None:
        """Raises Refused unless the engine's architecture is the images'."""
        if here != self.manifest["architecture"]:
            raise Refused(
                f"{self.path} is for {self.manifest['architecture']}, and the Docker Engine here"
                f" is {here}. Fix: make the bundle on a machine with {here}"
            )

    def check_images(self, wanted: set[str]) -> None:
        """Raises Refused for an image that nothing builds here, and the bundle does not have."""
        if missing := sorted(wanted - {image["name"] for image in self.manifest["images"]}):
            raise Refused(
                f"{self.path} has no image {missing[0]}, which docker-compose.yml and .env name"
                " here. Fix: the bundle's .env and this one must name the same images"
            )


def pack(work: Path, target: Path) -> str:
    """Pack what is in ``work``; the archive's SHA-256. It gets its name when it is whole."""
    files = sorted(path for path in work.rglob("*") if path.is_file())
    names = {path.relative_to(work).as_posix(): path for path in files}
    sums = {name: _digest_of_file(path) for name, path in names.items()}
    (work / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sums))
    names[SUMS] = work / SUMS
    order = [*HEAD, *(name for name in names if name not in HEAD)]
    part = work / target.name
    with tarfile.open(part, "w") as archive:
        for name in order:
            archive.add(names[name], name, filter=_of_nobody)
    part.rename(target)
    return _digest_of_file(target)


@contextmanager
def reading(path: Path) -> Iterator[tarfile.TarFile]:
    opened = False
    try:
        with tarfile.open(path, "r:") as archive:
            opened = True
            yield archive
    except (tarfile.TarError, EOFError) as error:
        if opened:
            raise Refused(f"{path} is damaged: {error}. {_AGAIN}") from None
        raise Refused(
            f"{path} is not a bundle: it is not a tar archive."
            " Fix: name the archive that `make bundle` wrote"
        ) from None


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    found = hashlib.sha256()
    file = archive.extractfile(member)
    while file and (piece := file.read(MEBIBYTE)):
        found.update(piece)
    return found.hexdigest()


def _has_its_place(name: str) -> bool:
    wheel = name.removeprefix(WHEELS_FOLDER)
    return name in {*HEAD, REPOSITORY, IMAGES} or (
        wheel != name and "/" not in wheel and (wheel.endswith(".whl") or wheel == PIP_SETTINGS)
    )


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
