"""`make check` ends with the error that matters: file, line and message."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from stackctl.docker import ROOT


@pytest.fixture(scope="module")
def check_location() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "check_location", ROOT / "tests" / "check_location.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A location whose assets a library imports; its name is another in each test."""
    monkeypatch.chdir(tmp_path)
    defs = tmp_path / "place" / "src" / "place" / "defs"
    defs.mkdir(parents=True)
    library = tmp_path / "library.py"
    library.write_text(
        "import importlib\n"
        "def load(name):\n"
        "    try:\n"
        "        return importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        raise RuntimeError('the library could not load ' + name) from error\n"
    )
    (defs.parent / "__init__.py").touch()
    (defs / "__init__.py").touch()
    (defs.parent / "definitions.py").write_text(
        "import library\nlibrary.load('place.defs.assets')\n"
    )
    (tmp_path / "place" / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "place"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "place" / "src"))
    for name in [name for name in sys.modules if name.split(".")[0] in {"place", "library"}]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "place"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1\ndef f(:\n    pass\n", ["2: SyntaxError: invalid syntax", "    def f(:"]),
        (
            "import nosuchthing\n",
            ["1: ModuleNotFoundError: No module named 'nosuchthing'", "    import nosuchthing"],
        ),
        (
            "def look(table):\n    return table['missing']\n\nlook({})\n",
            ["2: KeyError: 'missing'", "    return table['missing']"],
        ),
        (
            "class InvalidError(Exception): ...\n"
            "def api_users(): ...\n"
            "raise InvalidError(\"Duplicate asset key: AssetKey(['api_users'])\")\n",
            [
                "3: InvalidError: Duplicate asset key: AssetKey(['api_users'])",
                "    raise InvalidError(\"Duplicate asset key: AssetKey(['api_users'])\")",
                "    see place/src/place/defs/assets.py:2: def api_users(): ...",
            ],
        ),
    ],
)
def test_an_error_is_cut_down_to_the_location_s_own_line(
    check_location: ModuleType, location: Path, code: str, expected: list[str]
) -> None:
    (location / "src" / "place" / "defs" / "assets.py").write_text(code)
    with pytest.raises(BaseException) as raised:
        check_location.load(location)
    first, *more = check_location.explain(raised.value, location)
    assert [first, *more] == [f"place/src/place/defs/assets.py:{expected[0]}", *expected[1:]]


def test_an_error_outside_of_its_code_still_says_where_a_key_is_defined(
    check_location: ModuleType, location: Path
) -> None:
    assets = location / "src" / "place" / "defs" / "assets.py"
    assets.write_text("def api_users(): ...\n")
    error = ValueError("Duplicate asset key: AssetKey(['api_users'])")
    assert check_location.explain(error, location) == [
        "place: ValueError: Duplicate asset key: AssetKey(['api_users'])",
        "    see place/src/place/defs/assets.py:1: def api_users(): ...",
    ]
