"""What costs too much is refused or stopped by Dagster's webserver, and what its UI asks passes."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster_webserver
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import (
    InProcessTestWorkspaceLoadTarget,
    create_run_for_test,
    create_test_daemon_workspace_context,
    instance_for_test,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.client import client_queries
from dagster_graphql.schema import create_schema
from dagster_webserver.webserver import DagsterWebserver
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    get_introspection_query,
    parse,
    print_ast,
    validate,
    visit,
)
from graphql.language import DocumentNode
from starlette.testclient import TestClient

from control_plane import query_cost
from control_plane.internals import query_limits as internals
from control_plane.query_cost import Places, measure, parse_bounded, refusal
from control_plane.query_limits import cpu_limit, limit_queries

SCHEMA = create_schema().graphql_schema
CODE = """
import dagster as dg

def made(number):
    deps = [f"asset_{n}" for n in range(number - 3, number) if n >= 0]

    @dg.asset(name=f"asset_{number}", deps=deps)
    def asset(): ...

    return asset

defs = dg.Definitions(assets=[made(number) for number in range(100)])
"""
NESTED = "{assetNodes{dependencies{asset{dependencies{asset{dependencies{asset{id}}}}}}}}"
# All that the assets' repository knows of assets, for each asset: 100 x 100.
SQUARE = "{assetNodes{repository{assetNodes{id repository{name} assetKey{path}}}}}"


def doubling(count: int, field: str = "dependencies{asset{") -> str:
    """Fragments that multiply: the last one is opened 2 ** count times."""
    closing = "}" * field.count("{")
    parts = (
        f"fragment f{n} on AssetNode{{" + f"{field}...f{n + 1} {closing}" * 2 + "}"
        for n in range(count)
    )
    return f"{{assetNodes{{...f0}}}} {' '.join(parts)} fragment f{count} on AssetNode{{id}}"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Dagster's own webserver with a hundred assets and a hundred runs."""
    file: Path = tmp_path_factory.mktemp("code") / "query_cost_code.py"
    file.write_text(CODE)
    target = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(file))
    origins = [InProcessCodeLocationOrigin(target, location_name="code")]
    with (
        instance_for_test() as instance,
        create_test_daemon_workspace_context(
            InProcessTestWorkspaceLoadTarget(origins), instance
        ) as context,
    ):
        for _ in range(100):
            create_run_for_test(instance, job_name="job", tags={"team": "elt"})
        app = DagsterWebserver(context).create_asgi_app()
        client = TestClient(app, raise_server_exceptions=False)
        # What is made once is not a query's cost.
        assert ask(client, "{assetNodes{id} runsOrError{__typename}}").status_code == 200
        yield client


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the webserver; undone afterwards."""
    for hook in internals.HOOKS:
        monkeypatch.setattr(hook.owner, hook.name, hook.original())
    limit_queries()


def ask(client: TestClient, query: str) -> Any:
    return client.post("/graphql", json={"query": query})


@contextmanager
def costing_at_most(seconds: float) -> Iterator[None]:
    """Of CPU of the whole process."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < seconds


def within(*selections: str) -> str:
    return "{" + " ".join(selections) + "}"


ATTACKS = {
    "aliases": (
        within(*(f"a{n}:runsOrError{{...on Runs{{results{{id}}}}}}" for n in range(250))),
        "the query uses 250 aliases, fragments opened; the limit is 30. Fix: ask for many",
    ),
    "aliases in a fragment": (
        "{assetNodes{...f}} fragment f on AssetNode"
        + within(*(f"a{n}:opVersion" for n in range(31))),
        "the query uses 31 aliases, fragments opened",
    ),
    "a list in itself": (
        NESTED,
        "the query nests the list dependencies of AssetNode 3 times in itself; the limit is 2",
    ),
    "fragments that multiply": (
        doubling(12),
        "fields, fragments opened; the limit is 4000",
    ),
    "fragments that multiply beyond numbers": (
        doubling(50, "repository{...on Repository{assetNodes{"),
        "the query nests",
    ),
    "one field many times": (
        within("assetNodes{id}" * 700),
        "the query asks for assetNodes 700 times at one place; the limit is 200",
    ),
    "one field many times, in many": (
        within("assetNodes{id id id id}" * 90),
        "the query asks for id 360 times at one place",
    ),
    "levels": (
        "{" + "...{" * 70 + "version" + "}" * 71,
        "the query nests 61 levels of selections; the limit is 60",
    ),
    "a chain of fragments": (
        "{...f0} fragment f200 on Query{version}"
        + "".join(f"fragment f{n} on Query{{...f{n + 1}}}" for n in range(200)),
        "the query nests 61 levels",
    ),
    "tokens": (within("version " * 5000), "the query has more than 4000 tokens; the limit"),
    "length": (
        within("version#" + "x" * 4_000_000 + "\n"),
        "the query is 4000011 characters long; the limit is 100000. Fix: pass data by variables.",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_costs_little(
    name: str, client: TestClient, limited: None
) -> None:
    query, said = ATTACKS[name]
    with costing_at_most(0.5):
        answer = ask(client, query)
    assert answer.status_code == 400
    assert answer.json()["data"] is None
    (error,) = answer.json()["errors"]
    assert said in error["message"]
    assert ". Fix: " in error["message"]


def test_by_get_as_well(client: TestClient, limited: None) -> None:
    answer = client.get("/graphql", params={"query": NESTED})
    assert (answer.status_code, "3 times in itself" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("subscription" + within("pipelineRunLogs(runId:1){__typename}" * 201), "201 times at one"),
        ("subscription" + within("x " * 5000), "more than 4000 tokens"),
    ],
)
def test_by_websocket_as_well(client: TestClient, limited: None, query: str, said: str) -> None:
    with client.websocket_connect("/graphql", subprotocols=["graphql-ws"]) as socket:
        socket.send_json({"type": "start", "id": "1", "payload": {"query": query}})
        answer = socket.receive_json()
    assert answer["type"] == "error"
    assert said in answer["payload"]["message"]


def test_the_attack_works_without_the_limits(client: TestClient) -> None:
    assert ask(client, NESTED).status_code == 200


def test_a_batch_is_not_executed(client: TestClient, limited: None) -> None:
    """Dagster knows none; each of them would be bounded, and not all of them together."""
    answer = client.post("/graphql", json=[{"query": "{version}"}] * 100)
    assert answer.status_code == 500
    assert "version" not in answer.text


def test_a_cycle_of_fragments_is_refused(client: TestClient, limited: None) -> None:
    cycle = (
        "{assetNodes{...a}} fragment a on AssetNode{repository{...b}}"
        " fragment b on Repository{location{repositories{...b}}}"
    )
    with costing_at_most(0.5):
        answer = ask(client, cycle)
    assert answer.status_code == 400
    assert "Cannot spread fragment 'b' within itself" in answer.text


def test_a_query_is_stopped_when_it_has_cost_too_much(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Its text shows nothing of how long the lists are."""
    begin = time.process_time()
    assert ask(client, SQUARE).status_code == 200
    whole = time.process_time() - begin
    monkeypatch.setenv("WEB_QUERY_CPU_S", str(whole / 10))
    request.getfixturevalue("limited")
    with costing_at_most(whole / 2):
        answer = ask(client, SQUARE)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert "s of CPU and was stopped. Fix: ask for less in one query, or raise" in error["message"]
    assert ask(client, "{version}").json()["data"]


def test_a_mutation_is_not_stopped_halfway(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("WEB_QUERY_CPU_S", "0.000001")
    request.getfixturevalue("limited")
    assert "was stopped" in ask(client, "{assetNodes{id}}").text
    reload = "mutation{reloadWorkspace{...on Workspace{locationEntries{name}}}}"
    (entry,) = ask(client, reload).json()["data"]["reloadWorkspace"]["locationEntries"]
    assert entry["name"] == "code"


@pytest.mark.parametrize(("text", "seconds"), [("", 20), ("0", None), ("0.5", 0.5)])
def test_the_setting(text: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_QUERY_CPU_S", text)
    assert cpu_limit() == seconds


@pytest.mark.parametrize("text", ["many", "-1", "nan", "inf"])
def test_nonsense_in_the_setting(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_QUERY_CPU_S", text)
    with pytest.raises(SystemExit, match=f"WEB_QUERY_CPU_S is {text}: not a number of seconds"):
        cpu_limit()


# ---- What the user interface asks, from the JavaScript that is installed ------------------------

# Its queries are strings there, each of one operation or one fragment.
_LITERAL = re.compile(
    r"""(["'])((?:\\n|\s)*(?:query|mutation|subscription|fragment)\s+\w+(?:(?!\1)[^\\]|\\.)*)\1""",
    re.DOTALL,
)


class _WithTypenames(Visitor):
    """As Apollo sends a query: with `__typename` in all but the outermost selection."""

    def leave_selection_set(self, node: SelectionSetNode, _: Any, parent: Any, *__: Any) -> Any:
        known = any(isinstance(s, FieldNode) and s.name.value[:2] == "__" for s in node.selections)
        if known or isinstance(parent, OperationDefinitionNode):
            return None
        typename = FieldNode(name=NameNode(value="__typename"), arguments=(), directives=())
        return SelectionSetNode(selections=(*node.selections, typename))


def _spread(definition: Any, fragments: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    for name in re.findall(r"\.\.\.\s*(?!on\b)(\w+)", print_ast(definition)):
        if name not in found:
            found[name] = fragments[name]
            _spread(fragments[name], fragments, found)
    return found


def queries_of_the_user_interface() -> dict[str, str]:
    """By name, as they are sent."""
    operations: dict[str, OperationDefinitionNode] = {}
    fragments: dict[str, FragmentDefinitionNode] = {}
    for file in Path(dagster_webserver.__file__).parent.glob("webapp/build/_next/**/*.js"):
        for match in _LITERAL.finditer(file.read_text(encoding="utf-8")):
            text = re.sub(r"\\(.)", lambda e: {"n": "\n", "t": "\t"}.get(e[1], e[1]), match[2])
            if "{" not in text or "${" in text:
                continue
            for found in parse(text, no_location=True).definitions:
                if isinstance(found, OperationDefinitionNode) and found.name:
                    operations[found.name.value] = found
                elif isinstance(found, FragmentDefinitionNode):
                    fragments[found.name.value] = found
    queries = {}
    for name, operation in operations.items():
        whole = (operation, *_spread(operation, fragments, {}).values())
        queries[name] = print_ast(visit(DocumentNode(definitions=whole), _WithTypenames()))
    return queries


UI = queries_of_the_user_interface()


def test_the_queries_of_the_user_interface_are_found() -> None:
    """Whole and valid; of some pages by name."""
    assert len(UI) > 150
    pages = {"RunsFeedQuery", "RunLogsQuery", "PipelineRunLogsSubscription", "AssetChecksQuery"}
    assert pages <= set(UI)
    assert {name for name, query in UI.items() if validate(SCHEMA, parse(query))} == set()


def test_the_user_interface_stays_far_below_the_limits() -> None:
    most: dict[str, tuple[int, str]] = {}
    for name, query in UI.items():
        document = parse_bounded(query)
        assert refusal(SCHEMA, document) is None
        size, places = measure(document), Places(SCHEMA, document)
        places.check()
        tokens = len(re.findall(r"[\w$]+|\.\.\.|[^\s,]", query))
        for what, value in {
            "LENGTH": len(query),
            "TOKEN": tokens,
            "FIELD": size.fields,
            "ALIAS": size.aliases,
            "LEVEL": size.levels,
            "REPEAT": places.repeats,
            "LIST": places.lists,
        }.items():
            most[what] = max(most.get(what, (0, "")), (value, name))
    assert {
        what: (value, name)
        for what, (value, name) in most.items()
        if value > getattr(query_cost, f"{what}_LIMIT") / 2
    } == {}


OTHERS = {
    "introspection": get_introspection_query(input_value_deprecation=True),
    **{name: text for name, text in vars(client_queries).items() if name.isupper()},
}


@pytest.mark.parametrize("name", OTHERS)
def test_graphiql_and_dagsters_own_client_pass(name: str) -> None:
    assert refusal(SCHEMA, parse_bounded(OTHERS[name])) is None
