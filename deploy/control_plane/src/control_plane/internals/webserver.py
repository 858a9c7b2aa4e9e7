"""What is needed to start Dagster's webserver, and to put something before it."""

from __future__ import annotations

from typing import Any

from compose_run_launcher.private_names import Hook, needed_by

with needed_by("the webserver"):
    from dagster_graphql.implementation.utils import UserFacingGraphQLError
    from dagster_graphql.schema.errors import GraphenePythonError
    from dagster_shared.error import SerializableErrorInfo
    from dagster_webserver.cli import main
    from dagster_webserver.webserver import DagsterWebserver

__all__ = ["main"]

HOOKS = (
    # Without it any page in a browser on this machine could launch runs.
    Hook(
        DagsterWebserver,
        "build_middleware",
        ("self",),
        "the guard of a webserver without a gateway",
    ),
)


def shown_to_the_user(sentence: str) -> Exception:
    """An error that the user interface shows as it is. Others are answered by HTTP 500."""
    info = SerializableErrorInfo(sentence, stack=[], cls_name=None)
    return UserFacingGraphQLError(GraphenePythonError(info))  # type: ignore[no-untyped-call]


def prepend_middleware(middleware: Any) -> None:
    """Have every webserver of this process pass requests through it first.

    Dagster has no setting for it. Raises Incompatible.
    """
    (hook,) = HOOKS
    given = hook.original()

    def build_middleware(self: Any) -> list[Any]:
        return [middleware, *given(self)]

    hook.replace(build_middleware)
