"""A one-line change in one location, or in a package, brought up by plain Compose."""

from __future__ import annotations

from typing import Any

from harness import Stack
from runs import load

IMAGES = (
    *("elt", "analytics", "control-plane", "migrate", "secrets", "workspace"),
    *("docker-gateway", "web-gateway"),
)
OTHERS = (
    *("postgres", "object_store", "docker_gateway", "analytics", "workspace"),
    *("webserver", "web_gateway"),
)


def images(stack: Stack) -> dict[str, str]:
    """Ids of this stack's images."""
    return {name: str(inspected(stack, name)["Id"]) for name in IMAGES}


def inspected(stack: Stack, name: str) -> dict[str, Any]:
    """An image of this stack, as `docker inspect` shows it."""
    return stack.inspect(f"{stack.project}/{name}:live")


def layers(stack: Stack, name: str) -> list[str]:
    """An image's layers, base first."""
    return list(inspected(stack, name)["RootFS"]["Layers"])


def containers(stack: Stack) -> dict[str, tuple[str, str]]:
    """Container and start of each service that must not notice."""
    return {
        name: (each["Id"], each["State"]["StartedAt"])
        for name, each in stack.containers()
        if name in OTHERS
    }


def test_one_line_in_elt_changes_one_layer_and_one_container(stack: Stack) -> None:
    """A run that waits meanwhile keeps the image that it was created with."""
    source = stack.folder / "code_locations/elt/src/elt/__init__.py"
    original = source.read_text()
    before, image_ids, layers_before = containers(stack), images(stack), layers(stack, "elt")
    former, daemon = stack.container("elt"), stack.container("daemon")
    former_image = stack.inspect(former)["Image"]
    stack.compose("stop", "daemon")
    try:
        waiting = load(stack, "customers")
        source.write_text(original + "\n# one line\n")
        stack.compose("up", "--detach", "--build", "--wait")
        assert containers(stack) == before
        assert stack.container("daemon") == daemon
        assert stack.container("elt") != former
        changed = {name for name, id in images(stack).items() if id != image_ids[name]}
        assert changed == {"elt"}
        after = layers(stack, "elt")
        assert after[:-1] == layers_before[:-1]
        assert after[-1] != layers_before[-1]

        waiting.wait()
        assert waiting.container["Image"] == former_image
        newer = load(stack, "customers")
        newer.wait()
        assert newer.container["Image"] == stack.inspect(stack.container("elt"))["Image"]
        assert newer.container["Image"] != former_image
    finally:
        source.write_text(original)
        stack.compose("up", "--detach", "--build", "--wait")
    # The same content is the same image again.
    assert images(stack) == image_ids


def test_one_line_in_a_package_changes_the_images_that_use_it(stack: Stack) -> None:
    """Their dependencies stay as they are: two layers are new, the packages' and the code's."""
    before = images(stack)
    for package, users in (("postgres_loader", {"elt"}), ("location_kit", {"elt", "analytics"})):
        source = stack.folder / "packages" / package / "src" / package / "__init__.py"
        original = source.read_text()
        former = {name: layers(stack, name) for name in users}
        try:
            source.write_text(original + "\n# one line\n")
            stack.compose("build")
            after = images(stack)
            assert {name for name, id in after.items() if id != before[name]} == users
            for name in users:
                assert layers(stack, name)[:-2] == former[name][:-2]
        finally:
            source.write_text(original)
            stack.compose("build")
        assert images(stack) == before
