"""What is needed to look at GraphQL queries before the webserver executes them, and meanwhile."""

from __future__ import annotations

from compose_run_launcher.private_names import Hook, needed_by

_FEATURE = "limiting what a GraphQL query costs"

with needed_by(_FEATURE):
    from dagster_webserver import graphql as of_requests
    from graphene.types import schema as of_subscriptions
    from graphql import ExecutionContext

# Functions of graphql-core, by the names under which these modules call them: the first for a query
# or a mutation, the second for a subscription over a WebSocket.
PARSE = tuple(Hook(module, "parse", None, _FEATURE) for module in (of_requests, of_subscriptions))
VALIDATE = tuple(
    Hook(module, "validate", None, _FEATURE) for module in (of_requests, of_subscriptions)
)
EXECUTE = Hook(of_requests, "execute", None, _FEATURE)
# We override it.
FIELDS = Hook(
    ExecutionContext,
    "execute_fields",
    ("self", "parent_type", "source_value", "path", "fields"),
    _FEATURE,
)
HOOKS = (*PARSE, *VALIDATE, EXECUTE, FIELDS)


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()
