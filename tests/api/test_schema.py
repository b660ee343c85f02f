"""The schema as it is printed: current, described to the last field."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_schema,
)

from app.api.schema import printed

ROOT = Path(__file__).parent.parent.parent
BUILT_IN = {"String", "Int", "Float", "Boolean", "ID"}


def test_schema_graphql_is_what_the_code_prints() -> None:
    assert (ROOT / "schema.graphql").read_text() == printed()


def described() -> list[tuple[str, str | None]]:
    """Every type and field of the schema with its description."""
    schema = build_schema(printed())
    found: list[tuple[str, str | None]] = []
    for name, kind in schema.type_map.items():
        if name.startswith("__") or name in BUILT_IN:
            continue
        roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
        if kind not in roots or kind.description:
            found.append((name, kind.description))
        found += fields(kind)
    return found


def fields(kind: GraphQLNamedType) -> list[tuple[str, str | None]]:
    match kind:
        case GraphQLObjectType() | GraphQLInterfaceType() | GraphQLInputObjectType():
            return [(f"{kind.name}.{name}", each.description) for name, each in kind.fields.items()]
        case GraphQLEnumType():
            return []
    return []


@pytest.mark.parametrize(("name", "description"), described(), ids=lambda value: str(value)[:40])
def test_everything_in_the_schema_is_described(name: str, description: str | None) -> None:
    assert description, name
    assert description[0].isupper() or description[0] in '`"0123456789', description
    assert description.rstrip()[-1] in ".;:`", description


def test_no_description_speaks_of_the_inside() -> None:
    for word in ("Private", "from_row", "TODO", "Strawberry"):
        assert word not in printed()
