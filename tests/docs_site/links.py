"""Links of docs/ to files outside it: checked, and made into links to the repository, or to text.

A hook of MkDocs, which knows only the files in docs/ and takes other links for broken ones. Set
REPOSITORY_URL, such as https://github.com/<owner>/<name>/blob/main, to link to the files.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")

logger = logging.getLogger("mkdocs.hooks.links")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs with each page's text. A warning fails a strict build."""
    folder = (DOCS / page.file.src_uri).parent
    repository = os.environ.get("REPOSITORY_URL", "").rstrip("/")

    def outside(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target:
            return match[0]
        path = (folder / target).resolve()
        if path.is_relative_to(DOCS):
            return match[0]
        if not path.is_relative_to(ROOT) or not path.exists():
            logger.warning("%s links to %s, which does not exist", page.file.src_uri, target)
        if not repository:
            return match["text"]
        return f"[{match['text']}]({repository}/{path.relative_to(ROOT)}{match['anchor'] or ''})"

    return LINK.sub(outside, markdown)
