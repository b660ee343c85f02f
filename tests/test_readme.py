"""The README is true: its GraphQL fits the schema, its tables the code, its commands CI."""

import re
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from graphql import parse, validate

from app.api.answers import HTTP_STATUS, MEANINGS, Code
from app.api.limits import MUTATION_WEIGHT, WEIGHTS, QueryLimits
from app.api.schema import schema
from app.errors import refusals
from app.failures import FAILURES, ISSUES, RETRYABLE, ErrorCode
from app.jobs.states import FINISHED, MOVES, JobStatus
from app.settings import Settings, shown_default

ROOT = Path(__file__).parent.parent
LIMITS = {
    "cost": "cost",
    "depth": "levels of fields",
    "fields": "fields",
    "root_fields": "fields of the operation itself",
    "aliases": "aliases",
    "tokens": "tokens",
    "comments": "comments",
    "source_chars": "characters",
}
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def between(mark: str) -> str:
    (found,) = re.findall(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", README, re.DOTALL)
    return str(found)


@pytest.mark.parametrize("block", blocks("graphql"))
def test_graphql_in_the_readme_fits_the_schema(block: str) -> None:
    assert validate(schema._schema, parse(block)) == []


def test_the_curl_commands_send_what_is_shown_and_what_fits() -> None:
    create, watch = re.findall(r'"query": "(.*?)"}\'', README)
    assert create == " ".join(blocks("graphql")[0].split())
    assert validate(schema._schema, parse(watch)) == []


@pytest.mark.parametrize("kind", ["run", "test"])
def test_ci_runs_the_commands_of_the_readme(kind: str) -> None:
    (command,) = blocks(f"sh {kind}")
    assert command.strip()
    assert f"readme {kind}" in (ROOT / ".ci" / "run").read_text()


def test_the_command_for_backups_copies_a_database_that_is_written_to(tmp_path: Path) -> None:
    (command,) = blocks("sh backup")
    with closing(sqlite3.connect(tmp_path / "docyard.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE job (number INTEGER)")
        writer.execute("INSERT INTO job VALUES (1)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO job VALUES (2)")
        subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    with closing(sqlite3.connect(tmp_path / "backup.db")) as copy:
        assert copy.execute("SELECT number FROM job").fetchall() == [(1,)]


def test_the_states_are_those_of_the_table() -> None:
    lines = []
    for status in JobStatus:
        targets = ", ".join(target for target in JobStatus if target in MOVES[status])
        lines.append(
            f"{status:<11} (final)" if status in FINISHED else f"{status:<11} -> {targets}"
        )
    assert between("states") == "```\n" + "\n".join(lines) + "\n```\n"


def test_the_settings_are_those_of_the_code() -> None:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `DOCYARD_{name.upper()}` | {shown_default(name)} | {field.description} |")
    assert between("settings") == "\n".join(rows) + "\n"


def test_the_refusals_are_those_of_the_code() -> None:
    rows = ["| code | status | meaning | what to do |", "|---|---|---|---|"]
    rows += [
        f"| `{kind.code}` | {kind.status} | {kind.meaning} | {kind.what_to_do} |"
        for kind in refusals()
    ]
    assert between("refusals") == "\n".join(rows) + "\n"


def test_the_codes_of_graphql_are_those_of_the_code() -> None:
    rows = ["| code | status | meaning |", "|---|---|---|"]
    rows += [f"| `{code}` | {HTTP_STATUS[code]} | {MEANINGS[code]} |" for code in Code]
    assert between("graphql") == "\n".join(rows) + "\n"


def test_the_limits_are_those_of_the_code() -> None:
    limits = QueryLimits()
    rows = ["| limit | |", "|---|---|"]
    rows += [f"| {LIMITS[name]} | {getattr(limits, name):,} |" for name in LIMITS]
    assert set(LIMITS) == {field.name for field in fields(limits)}
    assert between("limits") == "\n".join(rows) + "\n"


def test_the_weights_are_those_of_the_code() -> None:
    rows = ["| field | cost |", "|---|---|"]
    rows += [f"| `{name}` | {weight:,} |" for name, weight in WEIGHTS.items()]
    rows.append(f"| every mutation | {MUTATION_WEIGHT} |")
    assert between("weights") == "\n".join(rows) + "\n"


def test_the_failures_are_those_of_the_code() -> None:
    rows = ["| code | may pass | meaning | what to do |", "|---|---|---|---|"]
    for code in ErrorCode:
        kind, passes = FAILURES[code], "yes" if code in RETRYABLE else "no"
        rows.append(f"| `{code}` | {passes} | {kind.meaning} | {kind.what_to_do} |")
    assert between("failures") == "\n".join(rows) + "\n"


def test_the_issues_are_those_that_are_told() -> None:
    rows = ["| code | meaning |", "|---|---|"]
    rows += [f"| `{code}` | {meaning} |" for code, meaning in ISSUES.items()]
    assert between("issues") == "\n".join(rows) + "\n"
    told = [
        code
        for path in (ROOT / "workers").rglob("*.py")
        for code in re.findall(r'\bIssue\(\s*"(\w+)"', path.read_text())
    ]
    assert set(told) == set(ISSUES)
