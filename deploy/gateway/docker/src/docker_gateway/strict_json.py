"""JSON with one meaning only.

Docker Engine takes the last of two keys of one name; others take the first. What could be read in
two ways is refused here, so that what is checked is what is meant.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from docker_gateway.refusal import Refusal

# The launcher's deepest body has six.
_MAX_DEPTH = 16


def parse(content: bytes) -> Any:
    """The value of a UTF-8 text; Refusal with status 400 for all that is not plain."""
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
        _check_text(value, _MAX_DEPTH)
    except Refusal:
        raise
    # RecursionError: nested too deep for the parser itself. ValueError: all else that is not JSON.
    except (ValueError, RecursionError):
        raise Refusal("the body is not plain JSON in UTF-8", 400) from None
    return value


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object; Refusal with status 400 for anything else."""
    value = parse(content)
    if not isinstance(value, dict):
        raise Refusal("the body is not a JSON object", 400)
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two parsed values are equal. Python's own == takes True for 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refusal("the body has two keys of one name", 400)
    return found


def _no_number(text: str) -> NoReturn:
    raise Refusal(f"{text[:20]} is not a whole number", 400)


def _check_text(value: Any, depth: int) -> None:
    if depth == 0:
        raise Refusal("the body is nested too deep", 400)
    if isinstance(value, str):
        # Half of a surrogate pair, by an escape, is not valid text. Raises UnicodeEncodeError.
        value.encode()
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key, depth)
            _check_text(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_text(inner, depth - 1)
