"""What our schema does beyond Strawberry's.

Documents are read once and checked for cost, and files are files.
"""

import copy
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Self, cast

import strawberry
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import Executor
from starlette.datastructures import UploadFile
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types import ExecutionContext
from strawberry.types.execution import ParseOptions

from app.api.answers import Code, OperationNotNamed
from app.api.limits import (
    FREE_UNITS,
    QueryLimits,
    excesses,
    price,
    too_complex,
    too_expensive,
    units,
)

CACHED_DOCUMENTS = 256
CACHED_CHARS = 16 * 1024
"""Of longer documents only the last are kept, so that the cache stays below about 100 MB."""


@dataclass(frozen=True, slots=True)
class QueryRules:
    """What documents are held to. suggestions: errors guess the name that was meant."""

    limits: QueryLimits = field(default_factory=QueryLimits)
    introspection: bool = True
    suggestions: bool = True


class QuietExecutor(Executor[None]):
    """Runs operations without guessing which value of an enum or which field was meant."""

    @classmethod
    def build(cls, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as in graphql-core
        """Prepare an operation."""
        return super().build(*args, **options | {"hide_suggestions": True})


class Schema(strawberry.Schema):
    """A Strawberry schema that leaves logging to `public_errors`.

    Strawberry's own log repeats the document, and takes a caller's typing error for one of ours.
    """

    def __init__(self, *types: Any, **options: Any) -> None:  # noqa: ANN401 - as in Strawberry
        super().__init__(*types, **options)
        # Strawberry checks inputs that take exactly one field itself, and cannot say where in the
        # variables they stand; graphql-core can.
        for each in self._schema.type_map.values():
            if isinstance(each, GraphQLInputObjectType):
                each.is_one_of = each.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].is_one_of

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Do nothing: see `public_errors`."""

    def ruled(self, rules: QueryRules) -> Self:
        """Return the same schema for documents that are held to other rules."""
        schema = copy.copy(self)
        schema.extensions = (partial(Documents, rules),)
        if not rules.suggestions:
            schema.execution_context_class = QuietExecutor
        return schema

    def operation_type(self, text: str | None, name: str | None) -> OperationType | None:
        """Return what kind of operation a request asks for; None where that cannot be told."""
        (extension,) = self.get_extensions()
        assert isinstance(extension, Documents)  # noqa: S101 - a schema of ours has no other
        with suppress(GraphQLError):
            checked = checked_document(self._schema, text or "", extension.rules)
            operation = get_operation_ast(checked.document, name)
            return None if operation is None else operation.operation
        return None


def _only_a_file(value: object) -> UploadFile:
    if not isinstance(value, UploadFile):
        raise ValueError("A file is expected; send it as multipart/form-data.")  # noqa: TRY004 - a value of the caller's
    return value


UPLOAD = strawberry.scalar(
    name="Upload",
    description="A file, sent by the GraphQL multipart request specification.",
    serialize=str,
    parse_value=_only_a_file,
)
"""Strawberry's own takes any JSON for a file, and hands it to the resolver."""


@dataclass(slots=True)
class CheckedDocument:
    """A document that could be parsed, and what is wrong with it."""

    schema: GraphQLSchema
    document: DocumentNode
    errors: tuple[GraphQLError, ...]
    _costs: dict[str | None, int] = field(default_factory=dict)

    @property
    def operations(self) -> int:
        """How many operations the document holds."""
        return sum(isinstance(d, OperationDefinitionNode) for d in self.document.definitions)

    def cost(self, name: str | None, variables: dict[str, object]) -> int:
        """Return what an operation costs; 0 where there is none of this name."""
        if name not in self._costs or units(variables) > FREE_UNITS:
            operation = get_operation_ast(self.document, name)
            if operation is None:
                return 0
            found = price(self.schema, self.document, operation, variables)
            if not found.fixed:
                return found.cost
            self._costs[name] = found.cost
        return self._costs[name]


class Documents(SchemaExtension):
    """Parses and checks documents, each once: the same text is not read a second time.

    It stands in for ParserCache, ValidationCache, AddValidationRules and MaxTokensLimiter. With
    ParserCache, a syntax error over a websocket is answered by `complete` alone.
    """

    def __init__(self, rules: QueryRules = QueryRules()) -> None:
        super().__init__()
        self.rules = rules
        self.checked: CheckedDocument | None = None
        self.cost: int | None = None

    def on_parse(self) -> Iterator[None]:
        """Find the document. What does not parse is left to Strawberry, which reports it."""
        execution = self.execution_context
        execution.parse_options = _parse_options(self.rules.limits)
        if execution.query:
            with suppress(GraphQLError):
                self.checked = checked_document(
                    execution.schema._schema,  # noqa: SLF001 - Strawberry's extensions read it there
                    execution.query,
                    self.rules,
                )
        if self.checked is not None:
            execution.graphql_document = self.checked.document
            named = execution._provided_operation_name is not None  # noqa: SLF001 - operation_name falls back to the first
            if not named and self.checked.operations > 1:
                raise OperationNotNamed
        yield

    def on_validate(self) -> Iterator[None]:
        """Hand over what is wrong with the document, or with what it costs."""
        if self.checked is not None:
            errors = list(self.checked.errors)
            self.execution_context.pre_execution_errors = errors or self._overpriced(self.checked)
        yield

    def get_results(self) -> dict[str, Any]:
        """Tell what the operation cost; events of a subscription do not repeat it."""
        return {} if self.cost is None else {"cost": self.cost}

    def _overpriced(self, checked: CheckedDocument) -> list[GraphQLError]:
        execution = self.execution_context
        try:
            cost = checked.cost(execution._provided_operation_name, execution.variables or {})  # noqa: SLF001 - as in on_parse
        except RecursionError:
            return [too_complex("The document nests its fragments too deeply.")]
        if cost > self.rules.limits.cost:
            return [too_expensive(cost, self.rules.limits)]
        if execution.operation_type.value != OperationType.SUBSCRIPTION.value:
            self.cost = cost
        return []


SCHEMA_EXTENSIONS = [Documents]


def checked_document(schema: GraphQLSchema, text: str, rules: QueryRules) -> CheckedDocument:
    """Parse and check a document.

    Raises:
        GraphQLSyntaxError: it cannot be parsed, or is too long.
    """
    read = _read_document if len(text) <= CACHED_CHARS else _read_long_document
    return read(schema, text, rules)


@lru_cache(maxsize=CACHED_DOCUMENTS)
def _read_document(schema: GraphQLSchema, text: str, rules: QueryRules) -> CheckedDocument:
    document = parse(text, **_parse_options(rules.limits))
    errors = excesses(schema, document, rules.limits)
    if not errors:
        applied = [*specified_rules]
        if not rules.introspection:
            applied.append(NoSchemaIntrospectionCustomRule)
        errors = validate(schema, document, applied, hide_suggestions=not rules.suggestions)
        for error in errors:
            error.extensions = {"code": Code.GRAPHQL_VALIDATION_FAILED}
    return CheckedDocument(schema, document, tuple(errors))


# A request asks for its document twice: for its kind, then to run it.
_read_long_document = lru_cache(maxsize=4)(_read_document.__wrapped__)


def _parse_options(limits: QueryLimits) -> ParseOptions:
    # Strawberry's type knows only max_tokens, which graphql-core has deprecated.
    options = {
        "max_lexical_tokens": limits.tokens,
        "max_comments": limits.comments,
        "max_source_length": limits.source_chars,
    }
    return cast("ParseOptions", options)
