"""The schema as it is printed: current, described to the last field."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
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


def unions() -> list[tuple[str, str, GraphQLField]]:
    """Every operation that answers with a union: its kind, name and field."""
    schema = build_schema(printed())
    roots = {"query": schema.query_type, "mutation": schema.mutation_type}
    return [
        (kind, name, field)
        for kind, root in roots.items()
        if root is not None
        for name, field in root.fields.items()
        if isinstance(get_named_type(field.type), GraphQLUnionType)
    ]


def selection(member: GraphQLObjectType) -> str:
    """Select every field of a type, by its own name."""
    fields = [
        name if is_leaf_type(get_named_type(field.type)) else f"{name} {{ __typename }}"
        for name, field in member.fields.items()
    ]
    return f"... on {member.name} {{ {' '.join(fields)} }}"


@pytest.mark.parametrize(("kind", "name", "field"), unions(), ids=lambda value: str(value)[:40])
def test_all_fields_of_all_answers_can_be_selected_without_aliases(
    kind: str, name: str, field: GraphQLField
) -> None:
    union = get_named_type(field.type)
    assert isinstance(union, GraphQLUnionType)
    declared = ", ".join(f"${arg}: {each.type}" for arg, each in field.args.items())
    given = ", ".join(f"{arg}: ${arg}" for arg in field.args)
    members = " ".join(selection(member) for member in union.types)
    query = f"{kind}({declared}) {{ {name}({given}) {{ __typename {members} }} }}"
    assert validate(build_schema(printed()), parse(query.replace("()", ""))) == []


def test_no_description_speaks_of_the_inside() -> None:
    for word in ("Private", "from_row", "TODO", "Strawberry"):
        assert word not in printed()
