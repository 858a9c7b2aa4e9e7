"""Files and folders of the landing zone that belong to no table, and why if that is clear."""

from collections.abc import Iterable, Sequence

from postgres_loader.landing_files import classify
from postgres_loader.landing_zone import Listing
from postgres_loader.sources import SUFFIXES
from postgres_loader.tables import Table

NAMES_SHOWN = 20


def look_alikes(folders: Iterable[str]) -> list[str]:
    """The folders that are named like a file, each with a slash; others are nobody's mistake."""
    return [f"{name}/" for name in folders if name.lower().endswith(SUFFIXES)]


def unmatched(listing: Listing, tables: Sequence[Table]) -> list[str]:
    """Names of the files that belong to no table, and of folders that look like files."""
    files = [file.name for file in listing.files if classify(file.name, tables) is None]
    return [*files, *look_alikes(listing.folders)]


def named(names: Iterable[str], tables: Sequence[Table], shown: int = NAMES_SHOWN) -> str:
    """The names with the reasons that are known, those first, and how many more there are."""
    said = []
    for name in names:
        reason = _reason(name, tables)
        # Not every file name of a folder can be printed.
        printable = name if name.isprintable() else ascii(name)
        said.append((reason is None, f"{printable} ({reason})" if reason else printable))
    said.sort(key=lambda one: one[0])
    more = len(said) - shown
    text = ", ".join(one for _, one in said[:shown])
    return f"{text} and {more} more" if more > 0 else text


def _reason(name: str, tables: Sequence[Table]) -> str | None:
    if name.endswith("/"):
        return "a folder: put its files beside it, under names of their own"
    lower = name.lower()
    if lower != name and classify(lower, tables):
        return f"names are case-sensitive: rename it to {lower}"
    if not lower.endswith(SUFFIXES) and any(lower.startswith(table.name) for table in tables):
        return f"its name ends with none of {', '.join(SUFFIXES)}"
    return None
