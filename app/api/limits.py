"""How much one GraphQL document may ask for, found out in one pass before it is validated.

The limits of Strawberry walk fragments again at each spread: doubled spreads in 650 bytes keep them
busy for hours. Here each fragment is measured once. Whatever is over a limit never reaches the
validation rules, some of which are quadratic in the number of fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
INTROSPECTION = ("__schema", "__type")


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one document may hold; fragments count each time they are spread.

    `__typename` is free, and introspection has no depth of its own (graphql-core ends it where it
    nests), but its fields and aliases count.
    """

    depth: int = 16
    fields: int = 500
    aliases: int = 50
    tokens: int = 4_000
    comments: int = 1_000
    source_chars: int = 256 * 1024


class Cost(NamedTuple):
    """What a selection costs."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0

    def beside(self, other: "Cost") -> "Cost":
        """Return the cost of both selections, one beside the other."""
        return Cost(
            max(self.depth, other.depth),
            self.fields + other.fields,
            self.aliases + other.aliases,
        )


def excesses(document: DocumentNode, limits: QueryLimits) -> list[GraphQLError]:
    """Return an error for each limit that an operation exceeds, and nothing if all is well."""
    try:
        return list(_excesses(document, limits))
    except RecursionError:
        return [too_complex("The document nests its fragments too deeply.")]


def too_complex(message: str, node: OperationDefinitionNode | None = None) -> GraphQLError:
    """Make the error of a document that asks for too much."""
    return GraphQLError(message, node, extensions={"code": QUERY_TOO_COMPLEX})


def _excesses(document: DocumentNode, limits: QueryLimits) -> Iterator[GraphQLError]:
    meter = _Meter(document)
    for definition in document.definitions:
        if not isinstance(definition, OperationDefinitionNode):
            continue
        cost = meter.measure(definition.selection_set)
        for name, value in zip(cost._fields, cost, strict=True):
            limit = getattr(limits, name)
            if value > limit:
                yield too_complex(f"The operation exceeds the limit of {limit} {name}.", definition)


class _Meter:
    """Measures selections of one document; what a fragment costs is worked out once."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._costs: dict[str, Cost] = {}

    def measure(self, selections: SelectionSetNode | None) -> Cost:
        total = Cost()
        for selection in selections.selections if selections else ():
            total = total.beside(self._selection(selection))
        return total

    def _selection(self, selection: SelectionNode) -> Cost:
        if isinstance(selection, FieldNode):
            return self._field(selection)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        return self.measure(getattr(selection, "selection_set", None))

    def _field(self, field: FieldNode) -> Cost:
        name = field.name.value
        inner = self.measure(field.selection_set)
        return Cost(
            0 if name in INTROSPECTION else inner.depth + 1,
            inner.fields + (name != "__typename"),
            inner.aliases + (field.alias is not None),
        )

    def _fragment(self, name: str) -> Cost:
        fragment = self._fragments.get(name)
        if fragment is None:  # the validation rules say so, better than we could
            return Cost()
        if name not in self._costs:
            # A fragment that spreads itself finds this; the validation rules refuse it.
            self._costs[name] = Cost()
            self._costs[name] = self.measure(fragment.selection_set)
        return self._costs[name]
