"""What a GraphQL query will cost, as far as its text shows it.

A query of a few hundred bytes can ask for one list a thousand times, for a list of a list of a
list, or for fragments that multiply, and keep a webserver busy for minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    parse,
)

# What the user interface asks for at most, in Dagster 1.13.27, is at the right. The tests take its
# queries from the installed package, and fail when one comes nearer than half of a limit.
LENGTH_LIMIT = 100_000  # 8,659 characters
TOKEN_LIMIT = 4000  # 827
FIELD_LIMIT = 4000  # 1,046
ALIAS_LIMIT = 30  # 4
LEVEL_LIMIT = 60  # 20
REPEAT_LIMIT = 200  # 46
LIST_LIMIT = 2  # 1

_LESS = "ask for less in one query, and send several."
_FILTER = "ask for many things by one filter or list of keys, or send several queries."


@dataclass(frozen=True)
class Size:
    """Of a query with its fragments opened; a fragment counts as often as it is used."""

    fields: int = 0
    aliases: int = 0
    # How deep selections are nested, of fields and of fragments.
    levels: int = 0


def parse_bounded(source: str, **options: Any) -> DocumentNode:
    """Parse a query. Raises GraphQLError, also for one that is too long to be parsed."""
    if len(source) > LENGTH_LIMIT:
        raise _refusal(f"is {len(source)} characters long", LENGTH_LIMIT, "pass data by variables.")
    try:
        return parse(source, **options, max_lexical_tokens=TOKEN_LIMIT)
    except GraphQLSyntaxError as error:
        if "Document contains more than" not in error.message:
            raise
        raise _refusal(f"has more than {TOKEN_LIMIT} tokens", TOKEN_LIMIT, _LESS) from None


def refusal(schema: GraphQLSchema, document: DocumentNode) -> GraphQLError | None:
    """Why a query costs too much to be validated; None when it may be."""
    try:
        size = measure(document)
        _check("asks for {} fields, fragments opened", size.fields, FIELD_LIMIT, _LESS)
        _check("uses {} aliases, fragments opened", size.aliases, ALIAS_LIMIT, _FILTER)
        # Each of at most FIELD_LIMIT fields is looked at once.
        Places(schema, document).check()
    except GraphQLError as error:
        return error
    return None


def measure(document: DocumentNode) -> Size:
    """The size of all operations together. Raises GraphQLError for too many levels and for cycles.

    Each fragment is measured once, so that fragments that multiply are not opened to be counted.
    """
    fragments = _fragments(document)
    known: dict[str, Size | None] = {}
    sizes = [
        _size(definition.selection_set, 1, fragments, known)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    ]
    return Size(
        fields=sum(size.fields for size in sizes),
        aliases=sum(size.aliases for size in sizes),
        levels=max((size.levels for size in sizes), default=0),
    )


def _size(
    selected: SelectionSetNode,
    level: int,
    fragments: Mapping[str, FragmentDefinitionNode],
    known: dict[str, Size | None],
) -> Size:
    """``known`` are fragments that are measured, with None those that are being measured."""
    fields = aliases = below = 0
    _check_level(level)
    for selection in selected.selections:
        inner = Size()
        if isinstance(selection, FieldNode):
            fields += 1
            aliases += selection.alias is not None
            if selection.selection_set:
                inner = _size(selection.selection_set, level + 1, fragments, known)
        elif isinstance(selection, InlineFragmentNode):
            inner = _size(selection.selection_set, level + 1, fragments, known)
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value in fragments:
            name = selection.name.value
            if name not in known:
                known[name] = None
                known[name] = _size(fragments[name].selection_set, level + 1, fragments, known)
            measured = known[name]
            if measured is None:
                raise GraphQLError(f"Cannot spread fragment '{name}' within itself.")
            inner = measured
        fields, aliases = fields + inner.fields, aliases + inner.aliases
        below = max(below, inner.levels)
    _check_level(level + below)
    return Size(fields, aliases, below + 1)


def _check_level(level: int) -> None:
    _check("nests {} levels of selections", level, LEVEL_LIMIT, _LESS)


class Places:
    """The fields of a query as its answer has them, by place: a path of names, without aliases.

    Only for queries that were measured: fragments are opened here.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._document = document
        self._fragments = _fragments(document)
        # The largest found: of one field at one place, and of a list within itself.
        self.repeats = 0
        self.lists = 0

    def check(self) -> None:
        """Raise GraphQLError for the first place where something stands too often."""
        for definition in self._document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                root = self._schema.get_root_type(definition.operation)
                self._look([(definition.selection_set, root)], Counter())

    def _look(
        self,
        selected: Iterable[tuple[SelectionSetNode, GraphQLNamedType | None]],
        lists: Counter[tuple[str, str]],
    ) -> None:
        """``lists`` are those that lead to this place, by type and field."""
        found: dict[str, list[tuple[FieldNode, GraphQLNamedType | None]]] = {}
        for each, parent in selected:
            for field, owner in self._opened(each, parent):
                found.setdefault(field.name.value, []).append((field, owner))
        for name, fields in found.items():
            self.repeats = max(self.repeats, len(fields))
            _check(f"asks for {name:.80} {{}} times at one place", len(fields), REPEAT_LIMIT, _LESS)
            for owner in dict.fromkeys(owner for _, owner in fields):
                below = [f.selection_set for f, of in fields if of is owner and f.selection_set]
                if below:
                    self._enter(name, owner, below, lists)

    def _enter(
        self,
        name: str,
        owner: GraphQLNamedType | None,
        selected: list[SelectionSetNode],
        lists: Counter[tuple[str, str]],
    ) -> None:
        fields = getattr(owner, "fields", {})
        of_type = fields[name].type if name in fields else None
        if owner is not None and _is_list(of_type):
            lists = lists + Counter({(owner.name, name): 1})
            depth = lists[owner.name, name]
            self.lists = max(self.lists, depth)
            what = f"nests the list {name} of {owner.name} {{}} times in itself"
            _check(what, depth, LIST_LIMIT, _LESS)
        inner = get_named_type(of_type) if of_type is not None else None
        self._look([(each, inner) for each in selected], lists)

    def _opened(
        self, selected: SelectionSetNode, parent: GraphQLNamedType | None
    ) -> Iterator[tuple[FieldNode, GraphQLNamedType | None]]:
        for selection in selected.selections:
            if isinstance(selection, FieldNode):
                yield selection, parent
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                kind = self._schema.get_type(condition.name.value) if condition else parent
                yield from self._opened(selection.selection_set, kind)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments.get(selection.name.value)
                if fragment is not None:
                    kind = self._schema.get_type(fragment.type_condition.name.value)
                    yield from self._opened(fragment.selection_set, kind)


def _is_list(of_type: Any) -> bool:
    if isinstance(of_type, GraphQLNonNull):
        of_type = of_type.of_type
    return isinstance(of_type, GraphQLList)


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }


def _check(what: str, value: int, limit: int, fix: str) -> None:
    if value > limit:
        # Fragments that multiply give numbers of hundreds of digits.
        raise _refusal(what.format(value if value < 10**9 else "more than 10^9"), limit, fix)


def _refusal(what: str, limit: int, fix: str) -> GraphQLError:
    return GraphQLError(f"the query {what}; the limit is {limit}. Fix: {fix}")
