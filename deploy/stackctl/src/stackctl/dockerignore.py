"""Docker's ignore files. Libraries exist for git's alone, whose patterns mean other things: they
match at any depth, tell folders from files, and leave what lies in a folder that `*` matches."""

from __future__ import annotations

import posixpath
import re

from stackctl.errors import StackctlError


class Ignored:
    """Which files of a context its builder does not see. ``path`` is the file's, for messages."""

    def __init__(self, path: str, text: str) -> None:
        found = (_rule(path, line) for line in text.splitlines())
        self._rules = [rule for rule in found if rule]

    def __contains__(self, path: str) -> bool:
        """Whether a file, by its path in the context, is left out. The last pattern decides."""
        for pattern, leaves_out in reversed(self._rules):
            if pattern.fullmatch(path):
                return leaves_out
        return False


NOTHING = Ignored("", "")


def _rule(path: str, line: str) -> tuple[re.Pattern[str], bool] | None:
    """What a line matches, folders with all that lies in them, and whether it leaves that out."""
    pattern = line.strip()
    if line.startswith("#") or not pattern:
        return None
    leaves_out = not pattern.startswith("!")
    # A slash at either end means nothing.
    clean = posixpath.normpath(pattern.removeprefix("!").strip().lstrip("/") or ".")
    segments = clean.split("/")
    if (
        ".." in segments
        or any(character in clean for character in "[\\")
        or any("**" in one and one != "**" for one in segments)
    ):
        raise StackctlError(
            f"{path}: the pattern {line!r} is not understood."
            " Way out: write it with *, ** and ? alone"
        )
    if clean == ".":
        return None
    *above, last = segments
    regex = "".join("(?:[^/]+/)*" if one == "**" else f"{segment_regex(one)}/" for one in above)
    regex += ".+" if last == "**" else segment_regex(last)
    return re.compile(rf"{regex}(?:/.*)?", re.DOTALL), leaves_out


def segment_regex(segment: str) -> str:
    """A name between slashes, in which * and ? stand for characters of that name."""
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(one) or re.escape(one) for one in segment)
