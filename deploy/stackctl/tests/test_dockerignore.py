"""Docker's patterns, where git's would say something else."""

import pytest

from stackctl.dockerignore import Ignored
from stackctl.errors import StackctlError


@pytest.mark.parametrize(
    ("patterns", "ignored", "kept"),
    [
        ("tests", ["tests/a.py", "tests/deep/b.py"], ["src/tests/a.py", "tests2/a.py"]),
        ("/tests/", ["tests/a.py"], ["src/tests/a.py"]),
        ("**/*.pyc", ["a.pyc", "src/a.pyc"], ["a.py"]),
        ("**/__pycache__", ["src/__pycache__/a"], ["src/pycache/a"]),
        (".git*", [".gitignore", ".github/a"], ["src/.gitignore"]),
        ("*", ["a", "a/b"], []),
        ("*\n!a/b\n**/*.pyc", ["a/c", "b", "a/b/x.pyc"], ["a/b", "a/b/c"]),
        ("# tests\n\n", [], ["tests/a", "# tests"]),
        ("a/**", ["a/b", "a/b/c"], ["b"]),
        ("**/a/**/b", ["a/b", "x/a/y/z/b/c"], ["a/c", "b"]),
        ("a/*/c", ["a/b/c", "a/b/c/d"], ["a/c", "a/b/d/c"]),
    ],
)
def test_patterns_begin_at_the_root_and_the_last_decides(
    patterns: str, ignored: list[str], kept: list[str]
) -> None:
    rules = Ignored("x", patterns)
    assert [path for path in ignored if path not in rules] == []
    assert [path for path in kept if path in rules] == []


@pytest.mark.parametrize("pattern", ["[ab]", "a\\b", "../a", "a**"])
def test_what_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(StackctlError, match=r"x\.dockerignore: the pattern .*Way out"):
        Ignored("x.dockerignore", f"a\n{pattern}")
