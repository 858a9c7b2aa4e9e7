from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from stackctl import sbom
from stackctl.errors import StackctlError
from stackctl.sbom import component, document, file_name
from stackctl.stack import Stack


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb libc6 2.41-12 amd64", "pkg:deb/debian/libc6@2.41-12?arch=amd64"),
        ("deb tzdata 1:2026a-0 all", "pkg:deb/debian/tzdata@1:2026a-0?arch=all"),
        ("deb libstdc++6 14~1+b1 amd64", "pkg:deb/debian/libstdc%2B%2B6@14~1%2Bb1?arch=amd64"),
        (
            "pypi /app/.venv/lib/python3.13/site-packages/dagster_postgres-0.29.27.dist-info",
            "pkg:pypi/dagster-postgres@0.29.27",
        ),
        (
            "pypi /usr/lib/python3/dist-packages/ruamel.yaml-0.18.6.dist-info",
            "pkg:pypi/ruamel-yaml@0.18.6",
        ),
    ],
)
def test_a_line_is_a_package(line: str, expected: str) -> None:
    assert component(line)["purl"] == expected


@pytest.mark.parametrize(
    "line", ["pypi  ", "pypi /a/nameless.dist-info", "rpm bash 5.2", "deb libc6"]
)
def test_a_line_that_names_no_package_is_an_error(line: str) -> None:
    with pytest.raises(StackctlError, match=r"unexpected line"):
        component(line)


def test_the_document_is_one_of_its_standard() -> None:
    lines = ("deb libc6 2.41-12 amd64", "pypi /site-packages/dagster-1.13.27.dist-info")
    found = [component(line) for line in lines]
    written = document("stack/elt:live", "sha256:1234", found)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    read = json.loads(written)
    assert read["metadata"]["component"]["name"] == "stack/elt:live"
    assert read["components"] == found


def test_a_file_is_named_by_its_image() -> None:
    assert file_name("dagster-stack/control-plane:live") == "control-plane"
    assert file_name("registry.example.com/team/elt:0123abcd") == "elt-0123abcd"


def test_each_image_that_the_stack_builds_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking into one image is proven in tests/stack/images."""
    services = {
        "elt": {"image": "x/elt:live", "build": {"context": "/elt"}},
        "landing_zone": {"image": "x/elt:live"},
        "webserver": {"image": "x/control-plane:live", "build": {"context": "/"}},
        "postgres": {"image": "postgres:17"},
    }
    monkeypatch.setattr(Stack, "load", lambda: Stack({"name": "x", "services": services}))
    monkeypatch.setattr(sbom, "inspect", lambda kind, name: [{"Id": f"sha256:{name}"}])
    monkeypatch.setattr(sbom, "packages", lambda _: [component("deb libc6 2.41-12 amd64")])
    sbom.sbom(into=tmp_path / "new")
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert written.keys() == {"elt.cdx.json", "control-plane.cdx.json"}
    assert "x/elt:live" in written["elt.cdx.json"]
