"""References to images."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REFERENCE = re.compile(
    r"(?P<repository>[A-Za-z0-9][A-Za-z0-9._-]*(:\d+(?=/))?(/[a-z0-9][a-z0-9._-]*)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
ID = re.compile(r"sha256:[0-9a-f]{64}")
DIGEST = ID
# A release's tag, made from the content of its image (deploy/code_location/release-id).
RELEASE = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Reference:
    """An image by name. Tag and digest are empty where there is none."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Reference | None:
        """The reference; None when it is none, as an image's id."""
        match = _REFERENCE.fullmatch(text)
        if match is None or ID.fullmatch(text):
            return None
        return cls(match["repository"], match["tag"] or "", match["digest"] or "")


def repository_of(text: str) -> str:
    """The repository that a reference names; empty for an id."""
    reference = Reference.parse(text)
    return reference.repository if reference else ""
