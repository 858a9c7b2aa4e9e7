"""Edits at places that the parser names; all else stays as it is."""

import pytest

from stackctl.errors import StackctlError
from stackctl.location.yaml_text import YamlText

TEXT = """\
# about all
one:
    list:   # aligned by hand
    - 'a=1'
    - "b=2"   # kept

    # about two
    null_value:

# about the last
two: {flow: [x, y]}
"""


def test_an_edit_changes_its_own_lines_alone() -> None:
    file = YamlText(TEXT, "f")
    a, b = file.item("one", "list", prefix="a"), file.item("one", "list", prefix="b")
    file.change(a, "a=1,2")
    file.add_after(b, b, "- c\n- d:\n    e\n")
    file.add_after(*file.entry("one", "null_value"), "other:\n\n  more: 1\n")
    file.add_after(*file.entry("two"), "three:\n")
    expected = TEXT.replace("'a=1'", "'a=1,2'").replace(
        "# kept\n", "# kept\n    - c\n    - d:\n        e\n"
    )
    expected = expected.replace("null_value:\n", "null_value:\n    other:\n\n      more: 1\n")
    assert file.edited == expected + "three:\n"


@pytest.mark.parametrize(
    ("path", "blank", "gone"),
    [
        (("one", "null_value"), False, "    null_value:\n"),
        (("one", "list"), False, TEXT[TEXT.index("    list") : TEXT.index("\n    # about two")]),
        (("two",), True, "two: {flow: [x, y]}\n"),
    ],
)
def test_what_is_removed_takes_no_other_comment_along(
    path: tuple[str, ...], blank: bool, gone: str
) -> None:
    file = YamlText(TEXT, "f")
    file.remove(*file.entry(*path), blank=blank)
    assert file.edited == TEXT.replace(gone, "")


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("a: 1", ("a",), "the last line has no end"),
        ("a: [\n", ("a",), "is not valid YAML"),
        ("a: 1\n", ("a", "b"), "a is not a mapping"),
        ("a: {c: 1}\n", ("a", "b"), r"there is no a\.b"),
        ("a: {c: 1}\n", ("a", "c"), "one entry per line. Fix: "),
    ],
)
def test_another_shape_is_named(text: str, path: tuple[str, ...], reason: str) -> None:
    with pytest.raises(StackctlError, match=f"^f.*{reason}"):
        file = YamlText(text, "f")
        file.remove(*file.entry(*path))
