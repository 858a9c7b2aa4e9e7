"""What is beside Postgres: the stack's other volumes, and the objects of its own store."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from backup.catalog import Catalog, write_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKETS = ("landing",)
"""Of the stack's own store; step logs are not backed up."""


def pack_folders(data: Path, target: Path) -> list[str]:
    """One archive for each folder in ``data``, which is where volumes are mounted; their names."""
    target.mkdir(parents=True)
    names = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        with tarfile.open(target / f"{folder.name}.tar.gz", "w:gz", compresslevel=1) as archive:
            for path in _tree(folder):
                # A file that vanishes meanwhile was temporary.
                try:
                    archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
                except FileNotFoundError:
                    continue
        names.append(folder.name)
    return names


def _tree(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            yield Path(parent, name)


def unpack_folders(source: Path, data: Path) -> dict[str, int]:
    """Put files back that are missing in ``data``; how many in which folder.

    None is replaced, none deleted. Folders that are not there are left out.
    """
    restored = {}
    for path in sorted(source.glob("*.tar.gz")):
        name = path.name.removesuffix(".tar.gz")
        folder = data / name
        if folder.is_dir():
            with tarfile.open(path) as archive:
                missing = [one for one in archive if not (folder / one.name).exists()]
                for member in missing:
                    archive.extract(member, folder, filter="tar", numeric_owner=True)
            restored[name] = len(missing)
    return restored


def copy_objects(store: S3Client, catalog: Catalog, backup_id: str) -> int:
    """List the store's objects, and keep those that no backup has yet; how many there are."""
    listed: dict[str, str] = {}
    for bucket in BUCKETS:
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                key, version = entry["Key"], f"{entry['ETag']} {entry['Size']}"
                text = f"{bucket}/{key} {version}"
                name = hashlib.sha256(text.encode()).hexdigest()
                target = catalog.objects / name
                if not target.exists():
                    part = target.with_suffix(".part")
                    store.download_file(bucket, key, str(part))
                    part.replace(target)
                listed[f"{bucket}/{key}"] = name
    write_json(catalog.folder(backup_id) / "objects.json", listed)
    return len(listed)


def put_objects(store: S3Client, catalog: Catalog, listed: Mapping[str, str]) -> int:
    """Put objects back that are missing in the store; how many were."""
    there = {
        f"{bucket}/{entry['Key']}"
        for bucket in BUCKETS
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for entry in page.get("Contents", [])
    }
    missing = [path for path in listed if path not in there]
    for path in missing:
        bucket, _, key = path.partition("/")
        store.upload_file(str(catalog.objects / listed[path]), bucket, key)
    return len(missing)
