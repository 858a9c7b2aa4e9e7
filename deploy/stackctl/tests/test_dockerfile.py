"""What an image is made of, as its Dockerfile says it."""

import pytest

from stackctl.dockerfile import Dockerfile, Source
from stackctl.errors import StackctlError

SAMPLE = """
ARG BASE=python:3
FROM ${BASE} AS base
RUN one \\
  # a comment between
  && two
FROM base as tools
RUN --mount=type=cache,target=/c --mount=type=bind,source=lock,target=/lock uv sync
FROM base AS unused
COPY never /
FROM base AS code
COPY --from=runtime a b /bin/
COPY ["with space", "/x"]
ADD https://example.org/x /x
FROM base
COPY --chown=1:1 --from=tools /venv /venv
COPY --from=code /app /app
"""


def sources(text: str, target: str = "") -> set[Source]:
    dockerfile = Dockerfile("Dockerfile", text)
    stages = dockerfile.needed(target, {})
    return {source for stage in stages for source in dockerfile.sources(stage)}


def test_stages_that_are_not_needed_do_not_count() -> None:
    dockerfile = Dockerfile("Dockerfile", SAMPLE)
    assert [stage.name for stage in dockerfile.needed("", {})] == ["base", "tools", "code", ""]
    assert [stage.name for stage in dockerfile.needed("TOOLS", {})] == ["base", "tools"]


def test_copies_and_mounts_of_needed_stages_are_the_sources() -> None:
    found = {source for source in sources(SAMPLE) if source.context not in {"tools", "code"}}
    assert found == {
        Source("", "lock"),
        Source("runtime", "a"),
        Source("runtime", "b"),
        Source("", "with space"),
    }
    assert sources(SAMPLE, "unused") == {Source("", "never")}


def test_comments_and_layout_are_no_instructions() -> None:
    plain = "FROM x AS base\nRUN one && two\n"
    spaced = "\n# c\nFROM x AS base\n\nRUN one \\\n# d\n&& two\n"
    assert Dockerfile("a", plain).instructions == Dockerfile("a", spaced).instructions


@pytest.mark.parametrize(
    "instruction",
    [
        "COPY --exclude=*.md . /",
        "COPY --parents a /",
        "COPY --from=0 a /",
        "COPY --from=${WHERE} a /",
        "COPY $WHAT /",
        "COPY [ab] /",
        "COPY <<EOF /x",
        "RUN <<EOF",
        "ONBUILD COPY . /",
    ],
)
def test_what_is_not_understood_is_refused(instruction: str) -> None:
    with pytest.raises((StackctlError, ValueError), match=r"folder/Dockerfile: .* Way out"):
        dockerfile = Dockerfile("folder/Dockerfile", f"FROM x\n{instruction}\n")
        for stage in dockerfile.needed("", {}):
            list(dockerfile.sources(stage))


def test_a_base_without_a_name_and_an_unknown_target_are_named() -> None:
    with pytest.raises(StackctlError, match="BASE has no value"):
        sources("ARG BASE\nFROM $BASE\n")
    with pytest.raises(StackctlError, match="no stage 'live'"):
        sources("FROM x\n", "live")
