"""GraphQL queries that cost too much are refused, or stopped when they have cost too much.

What a query's text shows is refused before it is validated. What only its execution shows (how long
lists are, how slow a field is) is stopped after WEB_QUERY_CPU_S seconds of CPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionContext,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationType,
    get_operation_ast,
)

from control_plane.internals import query_limits as internals
from control_plane.query_cost import parse_bounded, refusal

DEFAULT_CPU_S = 20.0
_SETTING = "WEB_QUERY_CPU_S"


def limit_queries() -> None:
    """Let the webserver of this process refuse and stop queries. Raises Incompatible."""
    internals.check_hooks()
    for hook in internals.PARSE:
        hook.replace(parse_bounded)
    for hook in internals.VALIDATE:
        hook.replace(_checked(hook.original()))
    limit_s = cpu_limit()
    if limit_s is not None:
        internals.EXECUTE.replace(stopping(internals.EXECUTE.original(), limit_s))


def cpu_limit() -> float | None:
    """Seconds of CPU for one query; None when there is no limit. Ends the process on nonsense."""
    text = os.environ.get(_SETTING) or f"{DEFAULT_CPU_S:g}"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    # Of "nan", too, none of this is true.
    if not 0 <= seconds < float("inf"):
        raise SystemExit(
            f"error: {_SETTING} is {text}: not a number of seconds."
            " Fix: set it to 0 (no limit) or more in .env."
        )
    return seconds or None


def _checked(validate: Callable[..., list[GraphQLError]]) -> Callable[..., list[GraphQLError]]:
    def validate_bounded(
        schema: GraphQLSchema, document_ast: DocumentNode, *rest: Any, **options: Any
    ) -> list[GraphQLError]:
        refused = refusal(schema, document_ast)
        return [refused] if refused else validate(schema, document_ast, *rest, **options)

    return validate_bounded


class _Spent(BaseException):
    """Ends a query's execution: graphql-core turns every Exception into one field's error."""


def stopping(execute: Callable[..., Any], limit_s: float) -> Callable[..., Any]:
    """``execute`` of graphql-core for queries that may take ``limit_s`` seconds of CPU.

    A mutation is never stopped halfway.
    """

    def execute_bounded(*, document: DocumentNode, **options: Any) -> Any:
        operation = get_operation_ast(document, options.get("operation_name"))
        if operation is None or operation.operation is not OperationType.QUERY:
            return execute(document=document, **options)
        until = _until(time.thread_time() + limit_s)
        try:
            result = execute(document=document, execution_context_class=until, **options)
        except _Spent:
            return _stopped(limit_s)
        return _awaited(result, limit_s) if isawaitable(result) else result

    return execute_bounded


def _until(end: float) -> type[ExecutionContext]:
    """An execution that ends with _Spent when its thread has used CPU until ``end``."""

    class Bounded(ExecutionContext):
        # Once for each object of the answer: as middleware, which is asked for each field, it
        # would cost a tenth of the execution.
        def execute_fields(self, *given: Any) -> Any:
            if time.thread_time() > end:
                raise _Spent
            return super().execute_fields(*given)

    return Bounded


async def _awaited(result: Awaitable[ExecutionResult], limit_s: float) -> ExecutionResult:
    try:
        return await result
    except _Spent:
        return _stopped(limit_s)


def _stopped(limit_s: float) -> ExecutionResult:
    fix = f"ask for less in one query, or raise {_SETTING} in .env."
    error = f"the query took more than {limit_s:g} s of CPU and was stopped. Fix: {fix}"
    return ExecutionResult(data=None, errors=[GraphQLError(error)])
