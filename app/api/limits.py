"""How much one GraphQL document may ask for, found out in one pass before it is validated.

The limits of Strawberry walk fragments again at each spread: doubled spreads in 650 bytes keep them
busy for hours. Here each fragment is measured once and counted at each spread. Whatever is over a
limit never reaches the validation rules, some of which are quadratic in the number of fields.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
INTROSPECTION = ("__schema", "__type")

WEIGHTS = {
    "Document.receivedBytes": 10,
    "Job.log": 100,
    "Job.resultJson": 10,
    "Job.settings": 5,
    "Query.previewRules": 50,
    "Service.jobCounts": 20,
    "Service.queueLength": 50,
    "Job.waitingOn": 20,
    "Wait.position": 100,
    "totalCount": 10,
    "__schema": 1000,
    "__type": 100,
}
"""What a field costs where that is not 1, by its name, or by its type and name."""

MUTATION_WEIGHT = 50
PAGE_SIZES = {"Job.events": 100, "SegmentResult.segments": 50}
PAGE_SIZE = 20
"""The size of a page that no argument gives; the resolvers have the same defaults."""

MAX_PAGE_SIZE = 500
"""A larger page is refused by its list, which says why."""


OBJECT_UNITS = 20
FREE_UNITS = 100
UNITS_A_POINT = 4
MOST_UNITS = 1_000_000
"""Reading what the arguments of a field hold takes time, and is done anew for each entry of a list.
An object counts 20 units, any other value 1; what is beyond 100 costs 1 for four."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one document may hold; fragments count each time they are spread.

    `__typename` is free, and introspection has no depth of its own (graphql-core ends it where it
    nests), but its fields and aliases count.
    """

    cost: int = 50_000
    depth: int = 16
    fields: int = 500
    root_fields: int = 50
    aliases: int = 50
    tokens: int = 4_000
    comments: int = 1_000
    source_chars: int = 256 * 1024


class Cost(NamedTuple):
    """What a selection costs. entries: of it, what each further entry of a connection costs."""

    depth: int = 0
    fields: int = 0
    root_fields: int = 0
    aliases: int = 0
    flat: int = 0
    entries: int = 0

    def beside(self, other: "Cost") -> "Cost":
        """Return the cost of both selections, one beside the other."""
        return Cost(
            max(self.depth, other.depth),
            self.fields + other.fields,
            self.root_fields + other.root_fields,
            self.aliases + other.aliases,
            self.flat + other.flat,
            self.entries + other.entries,
        )


class Price(NamedTuple):
    """What an operation costs; fixed: whatever its variables are."""

    cost: int
    fixed: bool


def excesses(
    schema: GraphQLSchema, document: DocumentNode, limits: QueryLimits
) -> list[GraphQLError]:
    """Return an error for each limit that an operation exceeds, and nothing if all is well.

    A page size that a variable gives counts as 1 here; see `price`.
    """
    try:
        return list(_excesses(schema, document, limits))
    except RecursionError:
        return [too_complex("The document nests its fragments too deeply.")]


def price(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, object] | None,
) -> Price:
    """Return what an operation costs with these variables; None: with the least they can cost."""
    meter = _Meter(schema, document, variables)
    return Price(meter.operation(operation).flat, not meter.asked_variables)


def units(value: object) -> int:
    """Return how much a value holds, MOST_UNITS at most: the largest are not counted out."""
    found, waiting = 0, [value]
    while waiting and found < MOST_UNITS:
        match waiting.pop():
            case dict() as fields:
                found += OBJECT_UNITS
                inside: Collection[object] = fields.values()
            case list() as inside:
                found += 1
            case _:
                found += 1
                continue
        if found + len(inside) >= MOST_UNITS:
            return MOST_UNITS
        waiting.extend(inside)
    return found


def too_expensive(cost: int, limits: QueryLimits) -> GraphQLError:
    """Make the error of an operation that costs too much."""
    return GraphQLError(
        f"The operation costs {cost}; the limit is {limits.cost}. "
        "Ask for smaller pages (`first`), or send less at once.",
        extensions={"code": QUERY_TOO_COMPLEX, "cost": cost, "limit": limits.cost},
    )


def too_complex(message: str, node: OperationDefinitionNode | None = None) -> GraphQLError:
    """Make the error of a document that asks for too much."""
    return GraphQLError(message, node, extensions={"code": QUERY_TOO_COMPLEX})


def _excesses(
    schema: GraphQLSchema, document: DocumentNode, limits: QueryLimits
) -> Iterator[GraphQLError]:
    meter = _Meter(schema, document, None)
    for definition in document.definitions:
        if not isinstance(definition, OperationDefinitionNode):
            continue
        cost = meter.operation(definition)
        for name in ("depth", "fields", "root_fields", "aliases"):
            limit = getattr(limits, name)
            if getattr(cost, name) > limit:
                words = name.replace("_", " ")
                yield too_complex(
                    f"The operation exceeds the limit of {limit} {words}.", definition
                )
        if cost.flat > limits.cost:
            yield too_expensive(cost.flat, limits)


class _Meter:
    """Measures operations; what a fragment costs is worked out once.

    With variables it is for one operation, since each has defaults of its own.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        variables: Mapping[str, object] | None,
    ) -> None:
        self._units = {name: units(value) for name, value in (variables or {}).items()}
        self.asked_variables = sum(self._units.values()) > FREE_UNITS
        self._schema = schema
        self._variables = variables
        self._defaults: dict[str, ValueNode | None] = {}
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._costs: dict[str, Cost] = {}

    def operation(self, operation: OperationDefinitionNode) -> Cost:
        """Return what an operation costs."""
        self._defaults = {
            each.variable.name.value: each.default_value
            for each in operation.variable_definitions or ()
        }
        root = self._schema.get_root_type(operation.operation)
        return self._selections(operation.selection_set, root)

    def _selections(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> Cost:
        total = Cost()
        for selection in selections.selections if selections else ():
            total = total.beside(self._selection(selection, parent))
        return total

    def _selection(self, selection: SelectionNode, parent: GraphQLNamedType | None) -> Cost:
        if isinstance(selection, FieldNode):
            return self._field(selection, parent)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        if isinstance(selection, InlineFragmentNode) and selection.type_condition is not None:
            parent = self._schema.get_type(selection.type_condition.name.value)
        return self._selections(getattr(selection, "selection_set", None), parent)

    def _field(self, field: FieldNode, parent: GraphQLNamedType | None) -> Cost:
        name = field.name.value
        known = isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        definition = parent.fields.get(name) if known else None  # type: ignore[union-attr] # just asked
        kind = None if definition is None else get_named_type(definition.type)
        inner = self._selections(field.selection_set, kind)
        size = self._size(field, definition, parent)
        within = inner.flat + size * inner.entries if _paged(kind) else size * inner.flat
        given = sum(self._held(argument.value) for argument in field.arguments or ())
        whole = _weight(name, parent) + within + max(0, given - FREE_UNITS) // UNITS_A_POINT
        is_entry = _paged(parent) and _is_list(definition)
        return Cost(
            depth=0 if name in INTROSPECTION else inner.depth + 1,
            fields=inner.fields + (name != "__typename"),
            root_fields=1,
            aliases=inner.aliases + (field.alias is not None),
            flat=0 if is_entry else whole,
            entries=whole if is_entry else 0,
        )

    def _fragment(self, name: str) -> Cost:
        fragment = self._fragments.get(name)
        if fragment is None:  # the validation rules say so, better than we could
            return Cost()
        if name not in self._costs:
            # A fragment that spreads itself finds this; the validation rules refuse it.
            self._costs[name] = Cost()
            kind = self._schema.get_type(fragment.type_condition.name.value)
            self._costs[name] = self._selections(fragment.selection_set, kind)
        return self._costs[name]

    def _size(
        self, field: FieldNode, definition: GraphQLField | None, parent: GraphQLNamedType | None
    ) -> int:
        """Return how many entries a field may have, as far as its arguments say."""
        given = {argument.name.value: argument.value for argument in field.arguments or ()}
        for name in ("first", "last", "ids", "inputs"):
            if name in given and (size := self._number(given[name])) is not None:
                return min(max(size, 1), MAX_PAGE_SIZE)
        if definition is None or "first" not in definition.args:
            return 1
        coordinate = f"{parent.name if parent else ''}.{field.name.value}"
        return PAGE_SIZES.get(coordinate, PAGE_SIZE)

    def _held(self, value: ValueNode) -> int:
        """Return how much an argument holds, as `units` does."""
        match value:
            case VariableNode():
                return self._units.get(value.name.value, 1)
            case ListValueNode(values=values):
                return 1 + sum(map(self._held, values))
            case ObjectValueNode(fields=fields):
                return OBJECT_UNITS + sum(self._held(field.value) for field in fields)
        return 1

    def _number(self, value: ValueNode | None) -> int | None:
        """Return a number, or the length of a list; None where it is null or left out."""
        match value:
            case IntValueNode(value=digits):
                return int(digits[:10])
            case ListValueNode(values=values):
                return len(values)
            case VariableNode():
                return self._variable(value.name.value)
        return None

    def _variable(self, name: str) -> int | None:
        self.asked_variables = True
        if self._variables is None:
            return 1
        if name not in self._variables:
            return self._number(self._defaults.get(name))
        match self._variables[name]:
            case list() as values:
                return len(values)
            case int() | float() as number:
                return int(number)
        return None


def _weight(name: str, parent: GraphQLNamedType | None) -> int:
    if name == "__typename":
        return 0
    kind = parent.name if parent else ""
    if kind == "Mutation":
        return MUTATION_WEIGHT
    return WEIGHTS.get(f"{kind}.{name}", WEIGHTS.get(name, 1))


def _paged(kind: GraphQLNamedType | None) -> bool:
    return kind is not None and kind.name.endswith("Connection")


def _is_list(field: GraphQLField | None) -> bool:
    return field is not None and is_list_type(get_nullable_type(field.type))
