"""Places in the documentation that a benchmark fills."""

from __future__ import annotations

from pathlib import Path


def put_into(document: Path, mark: str, text: str) -> None:
    """Replace what stands between `<!-- mark -->` and `<!-- end of mark -->`.

    Raises ValueError when the document has not exactly one such place.
    """
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    before, found, rest = document.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended or begin in rest:
        raise ValueError(f"{document} must have one place between {begin.strip()} and {end}")
    document.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")
