"""A one-line change in one location."""

from __future__ import annotations

from harness import Stack

IMAGES = (
    *("elt", "analytics", "control-plane", "migrate", "secrets", "workspace"),
    *("docker-gateway", "web-gateway"),
)


def image(stack: Stack, name: str) -> str:
    """Id of an image of this stack."""
    return str(stack.inspect(f"{stack.project}/{name}:live")["Id"])


def layers(stack: Stack, name: str) -> list[str]:
    """Its layers, base first."""
    return list(stack.inspect(f"{stack.project}/{name}:live")["RootFS"]["Layers"])


def test_one_line_in_elt_makes_one_layer_anew(stack: Stack) -> None:
    source = stack.folder / "code_locations/elt/src/elt/__init__.py"
    original = source.read_text()
    # `up` and `build` agree about what is up to date.
    stack.run("make", "build")
    ids = {name: image(stack, name) for name in IMAGES}
    before = layers(stack, "elt")
    try:
        source.write_text(original + "\n# one line\n")
        stack.compose("build", "elt")
        after = layers(stack, "elt")
        assert after[:-1] == before[:-1]
        assert after[-1] != before[-1]
        stack.compose("build")
        changed = {name for name in IMAGES if image(stack, name) != ids[name]}
        assert changed == {"elt"}
    finally:
        source.write_text(original)
        stack.compose("build", "elt")
    assert image(stack, "elt") == ids["elt"]


def test_one_line_in_elt_makes_one_container_anew(stack: Stack) -> None:
    services = (
        *("postgres", "object_store", "docker_gateway", "analytics", "workspace"),
        *("webserver", "web_gateway", "daemon"),
    )
    source = stack.folder / "code_locations/elt/src/elt/__init__.py"
    original = source.read_text()
    stack.compose("up", "--detach", "--build", "--wait")
    before = {name: stack.inspect(stack.container(name)) for name in (*services, "elt")}
    try:
        source.write_text(original + "\n# another line\n")
        stack.compose("up", "--detach", "--build", "--wait")
        for name in services:
            now = stack.inspect(stack.container(name))
            assert now["Id"] == before[name]["Id"], name
            assert now["State"]["StartedAt"] == before[name]["State"]["StartedAt"], name
        assert stack.container("elt") != before["elt"]["Id"]
    finally:
        source.write_text(original)
        stack.compose("up", "--detach", "--build", "--wait")
