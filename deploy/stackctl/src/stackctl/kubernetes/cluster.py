"""What a cluster is told beside the project's own files, and the names that follow from both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from stackctl.errors import USAGE, StackctlError

RELEASE = "dagster"
"""The Helm release of the control plane; objects of the chart have names that begin with it."""
HOME = "/opt/dagster/dagster_home"
POSTGRES_SECRET = "dagster-postgresql-secret"  # noqa: S105 - a name
"""In each namespace one of this name, which holds the password of that namespace's own role."""
POSTGRES_KEY = "postgresql-password"
FILES_SECRET = "secret-files"  # noqa: S105
LOGS_SECRET = "compute-logs"  # noqa: S105
LOGS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SECRETS_FOLDER = "/run/secrets"
USER = 10001
"""uid and gid of all images of the project."""

_DIGEST = re.compile(r"(?P<repository>[^@\s]+)@(?P<digest>sha256:[0-9a-f]{64})")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Image:
    """An image by its digest."""

    repository: str
    digest: str

    @classmethod
    def parse(cls, reference: str) -> Image | None:
        """None for a reference without a digest."""
        found = _DIGEST.fullmatch(reference)
        # A tag beside a digest names nothing.
        return cls(re.sub(r":[^/:]+$", "", found["repository"]), found["digest"]) if found else None


@dataclass(frozen=True)
class Logs:
    """Where step logs go: a bucket, a prefix in it, and the store's URL unless it is AWS."""

    bucket: str
    prefix: str = "dagster"
    endpoint: str = ""

    @classmethod
    def parse(cls, url: str, endpoint: str) -> Logs:
        """From s3://bucket/prefix. Raises StackctlError."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise StackctlError(
                f"LOGS is {url!r}: not an S3 URL. Fix: LOGS=s3://bucket/prefix", USAGE
            )
        return cls(parts.netloc, parts.path.strip("/") or cls.prefix, endpoint)


@dataclass(frozen=True)
class Cluster:
    """What the compose file cannot know."""

    project: str
    images: Mapping[str, Image]
    """By code location."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Addresses, by the names that services of this stack have in the compose file."""
    logs: Logs | None = None
    storage_class: str = ""
    storage_size: str = "10Gi"
    pull_secret: str = ""
    """A Secret of each location's namespace, with the registry's login."""

    @property
    def namespace(self) -> str:
        """Of the control plane."""
        return dns_name(self.project)

    def namespace_of(self, location: str) -> str:
        """Of one code location: its server and its runs, and nothing else."""
        return f"{self.namespace}-{dns_name(location)}"

    def address_of(self, location: str) -> str:
        """Where the control plane finds its code server."""
        return f"{dns_name(location)}.{self.namespace_of(location)}"


def dns_name(name: str) -> str:
    """A name of Compose as one of Kubernetes, which takes no underscore."""
    return name.replace("_", "-")


def parse_hosts(text: str) -> dict[str, str]:
    """From `postgres=db.example.com object-store=s3.example.com`. Raises StackctlError."""
    hosts = {}
    for item in text.split():
        name, _, address = item.partition("=")
        if not name or not _HOST.fullmatch(address):
            raise StackctlError(
                f"HOSTS has {item!r}: not a name and an address."
                " Fix: HOSTS='postgres=db.example.com'",
                USAGE,
            )
        hosts[name] = address
    return hosts
