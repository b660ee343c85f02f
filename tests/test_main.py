import asyncio
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from service import Service

ROOT = Path(__file__).parents[1]
LIMIT_SECONDS = 60


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str


def surroundings(**variables: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCYARD_")}
    return plain | {f"DOCYARD_{name}": value for name, value in variables.items()}


def docyard(*arguments: str | Path, **variables: str) -> Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=surroundings(**variables),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_help_names_every_command() -> None:
    told = docyard("--help")
    assert told.status == 0
    assert told.err == ""
    for command in ("up", "run", "serve", "work", "migrate", "schema", "key", "doctor"):
        assert f"\n    {command} " in told.out


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom app.__main__ import parser\nparser()\n"
        "print({'pydantic', 'sqlalchemy', 'httpx2', 'strawberry', 'rich'} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True
    )
    assert told.stdout == b"set()\n"


def test_a_command_that_is_not_there_is_wrong_use() -> None:
    assert docyard("fly").status == 2
    assert docyard().status == 2


@pytest.mark.parametrize(
    ("option", "value", "wrong"),
    [
        ("--expires-days", "-1", "must be 1 to 36500 days"),
        ("--expires-days", "99999999", "must be 1 to 36500 days"),
        ("--application", " ", "a name must not be empty"),
    ],
)
def test_a_key_that_cannot_be_is_wrong_use(option: str, value: str, wrong: str) -> None:
    told = docyard("key", "create", f"{option}={value}")
    assert (told.status, told.out) == (2, "")
    assert told.err.endswith(f"error: argument {option}: {wrong}\n")


def test_a_folder_for_results_that_cannot_be_made_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = docyard("run", "--out", tmp_path / "file" / "out", "README.md")
    wrong = f"--out: {tmp_path}/file/out cannot be made: Not a directory."
    assert told == Ended(2, "", f"docyard: {wrong}\n")


@pytest.mark.parametrize("command", ["up", "work", "migrate"])
def test_a_wrong_setting_stops_any_command_with_a_sentence(command: str) -> None:
    told = docyard(command, PORT="eight")
    assert told.status == 2
    assert told.out == ""
    assert told.err == (
        "docyard: DOCYARD_PORT (it is 'eight'):"
        " Input should be a valid integer, unable to parse string as an integer.\n"
    )


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_cluster_without_keys_is_stopped_with_a_sentence(command: str, data_dir: Path) -> None:
    told = docyard(command, DATA_DIR=str(data_dir), DATABASE_URL="postgresql://nobody@nowhere/none")
    assert told.status == 2
    assert told.err.startswith("docyard: DOCYARD_SECRET_KEYS is not set: ")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("ftp://there", " begins with 'ftp'; use file:///path or s3://bucket/prefix."),
        ("file:///dev/null/files", ": /dev/null/files cannot be used: Not a directory."),
    ],
)
def test_a_store_that_cannot_be_used_stops_the_start_with_a_sentence(
    data_dir: Path, url: str, wrong: str
) -> None:
    told = docyard("up", DATA_DIR=str(data_dir), STORE_URL=url)
    assert told == Ended(2, "", f"docyard: DOCYARD_STORE_URL{wrong}\n")


def test_a_server_that_is_no_redis_stops_the_start_with_a_sentence(data_dir: Path) -> None:
    told = docyard("up", DATA_DIR=str(data_dir), REDIS_URL="http://there")
    assert (told.status, told.out) == (2, "")
    assert told.err.startswith("docyard: DOCYARD_REDIS_URL: ")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("command", ["serve", "work", "up"])
def test_a_database_that_does_not_answer_is_told_in_a_sentence(
    command: str, data_dir: Path
) -> None:
    told = docyard(
        command,
        DATA_DIR=str(data_dir),
        DATABASE_URL="postgresql://docyard:our-secret@127.0.0.1:1/docyard",
        REDIS_URL="redis://127.0.0.1:1/0",
        SECRET_KEYS="k" * 32,
    )
    assert told.status == 1
    assert "docyard: DOCYARD_DATABASE_URL cannot be opened: [Errno 111] Connect call" in told.err
    assert "our-secret" not in told.err
    assert "Traceback" not in told.err


def test_a_worker_does_not_begin_without_tables(data_dir: Path) -> None:
    told = docyard("work", DATA_DIR=str(data_dir), SECRET_KEYS="k" * 32)
    wrong = "There is no database yet; run `docyard up` or `docyard migrate` first."
    assert told == Ended(1, "", f"docyard: {wrong}\n")
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_tables_of_a_newer_version_are_left_alone(data_dir: Path) -> None:
    assert docyard("migrate", DATA_DIR=str(data_dir)).status == 0
    with contextlib.closing(sqlite3.connect(data_dir / "docyard.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    wrong = "The database is of a newer version of Docyard; install that, or go back to a backup."
    for command in ("migrate", "up", "work"):
        told = docyard(command, DATA_DIR=str(data_dir))
        assert (told.status, told.err.splitlines()[-1]) == (1, f"docyard: {wrong}")
    assert wrong in docyard("doctor", DATA_DIR=str(data_dir)).out


def test_a_worker_without_redis_says_so_and_stops_soon(data_dir: Path) -> None:
    nowhere = {"DATA_DIR": str(data_dir), "REDIS_URL": "redis://127.0.0.1:1/0"}
    assert docyard("migrate", **nowhere).status == 0
    command, environment = [sys.executable, "-m", "app", "work"], surroundings(**nowhere)
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stderr is not None
        assert any("does not answer" in line for line in worker.stderr)
        assert any(" begins" in line for line in worker.stderr)
        worker.terminate()
        _, told = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert "Traceback" not in told


def test_a_folder_that_others_use_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").touch()
    told = docyard("migrate", "--data-dir", tmp_path)
    assert told.status == 2
    assert told.err.startswith(f"docyard: DOCYARD_DATA_DIR: {tmp_path} holds other files")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_path_that_cannot_stand_in_an_address_is_refused(tmp_path: Path) -> None:
    told = docyard("migrate", "--data-dir", tmp_path / "50%")
    assert told.status == 2
    assert "cannot stand in the addresses" in told.err
    assert not (tmp_path / "50%").exists()


def test_the_schema_is_printed_with_one_line_end() -> None:
    told = docyard("schema")
    assert told.status == 0
    assert told.out.endswith("}\n")
    assert not told.out.endswith("\n\n")
    assert "type Query {" in told.out


def test_serve_brings_the_database_up_to_date_before_it_listens(data_dir: Path) -> None:
    command = [sys.executable, "-m", "app", "serve", "--data-dir", str(data_dir), "--port", "0"]
    with subprocess.Popen(
        command, env=surroundings(), cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stderr is not None
        assert any("listening on" in line for line in serving.stderr)
        made = docyard("key", "create", "--data-dir", data_dir)
        serving.terminate()
        serving.communicate(timeout=30)
    assert made.out.startswith("dy_")


def test_a_key_is_made_for_an_application_that_is_made_with_it(data_dir: Path) -> None:
    asked = ("key", "create", "--data-dir", data_dir, "--application", "Ours", "--scope", "READ")
    early = docyard(*asked)
    assert early.status == 1
    assert early.err == (
        "docyard: There is no database yet; run `docyard up` or `docyard migrate` first.\n"
    )
    assert docyard("migrate", "--data-dir", data_dir).status == 0
    keys = {docyard(*asked).out for _ in range(2)}
    assert len(keys) == 2
    assert all(key.startswith("dy_") for key in keys)


def test_the_doctor_says_what_is_well_and_what_fails(data_dir: Path) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    told = docyard("doctor", DATA_DIR=str(data_dir), REDIS_URL=nowhere, PAGELIMIT="9", API_KEY="k")
    assert told.status == 1
    assert re.search(r"^weak +settings +nobody reads DOCYARD_PAGELIMIT *$", told.out, re.MULTILINE)
    assert "ok     database                none yet; the first start makes it" in told.out
    assert "FAILS  Redis" in told.out
    assert "extra: predict" in told.out


def test_the_doctor_looks_at_a_store_that_is_elsewhere_and_at_no_folder_then(
    data_dir: Path,
) -> None:
    told = docyard(
        "doctor",
        DATA_DIR=str(data_dir),
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        REDIS_URL="redis://127.0.0.1:1/0",
        STORE_URL="s3://there?not",
    )
    assert told.status == 1
    assert "FAILS  store" in told.out
    assert "use s3://bucket or s3://bucket/prefix." in told.out
    assert "data folder" not in told.out
    assert not data_dir.exists()


def test_a_file_that_is_not_there_is_wrong_use(data_dir: Path) -> None:
    told = docyard("run", "--data-dir", data_dir, "nothing.pdf")
    assert told == Ended(2, "", "docyard: nothing.pdf is not a file that can be read.\n")
    assert not data_dir.exists()


def test_an_address_without_a_key_is_wrong_use() -> None:
    told = docyard("run", "--url", "http://127.0.0.1:1", "README.md")
    assert told == Ended(2, "", "docyard: --url needs --key (or DOCYARD_API_KEY).\n")


def test_nobody_at_the_address_is_told_in_a_sentence() -> None:
    told = docyard("run", "--quiet", "--url", "http://127.0.0.1:1", "--key", "k", __file__)
    assert told == Ended(1, "", "docyard: Nothing answers at http://127.0.0.1:1.\n")


class Files:
    """Files for the processor of tests/paced.py, and `docyard run` on them."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    async def run(self, *arguments: str | Path, quiet: bool = True) -> Ended:
        """Run the command against the service while a worker works."""
        async with self.service.working():
            process = await self.start(*(("--quiet",) if quiet else ()), *arguments)
            out, err = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def start(self, *arguments: str | Path) -> asyncio.subprocess.Process:
        variables = surroundings(URL=self.service.url, API_KEY=self.service.token)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "run", *arguments),
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


# What is under test here does not see the database.
on_one_database = pytest.mark.parametrize("kind_of_database", ["sqlite"], indirect=True)


@pytest.fixture
async def files(paced: Service, tmp_path: Path) -> Files:
    return Files(paced, tmp_path)


@on_one_database
@pytest.mark.anyio
async def test_run_prints_text_with_a_line_above_each_segment(files: Files) -> None:
    told = await files.run(files.write("a.txt", "page One\npage Two\n"))
    assert told == Ended(
        0,
        "=== a.txt, page 1: Book > Chapter 1\n\nOne\n\n"
        "=== a.txt, page 2: Book > Chapter 2\n\nTwo\n\n",
        "",
    )


@on_one_database
@pytest.mark.anyio
async def test_run_shows_how_far_it_is_on_standard_error(files: Files) -> None:
    told = await files.run(files.write("a.txt", "page One\n"), quiet=False)
    lines = told.err.splitlines()
    assert lines[:2] == ["Looking for the service", "Uploading a.txt"]
    assert lines[2].startswith("Waiting, 0 %")
    assert lines[-1].startswith("Done, 100 %: 1 of 1 pages")


@on_one_database
@pytest.mark.anyio
async def test_run_prints_json_in_the_names_of_the_schema(files: Files) -> None:
    told = await files.run("--json", files.write("a.txt", "page Ä\n"))
    found = json.loads(told.out)
    assert told.status == 0
    assert list(found) == ["job", "segments"]
    assert set(found["job"]) == {
        *("id", "number", "name", "type", "status", "outcome", "error", "issues", "progress"),
        *("attempt", "createdAt", "startedAt", "finishedAt", "durationMs", "resultJson"),
        "documents",
    }
    (entry,) = found["job"]["documents"]
    assert set(entry) == {"document", "status", "failure"}
    assert set(entry["document"]) == {
        *("id", "filename", "mimeType", "size", "sha256", "mediaLength")
    }
    (segment,) = found["segments"]
    assert set(segment) == {
        *("id", "key", "document", "status", "ordinal", "body", "page", "group", "title"),
        *("headings", "tags", "lang", "boxes", "createdAt"),
    }
    assert segment["body"] == "Ä"


@on_one_database
@pytest.mark.anyio
async def test_run_writes_two_files_for_each_input(files: Files) -> None:
    one = files.write("a.txt", "page One\n")
    two = files.write("more/a.txt", "page Two\n")
    out = files.folder / "out"
    told = await files.run("--out", out, one, two)
    assert told == Ended(0, "", "")
    assert sorted(path.name for path in out.iterdir()) == [
        *("a.md", "a.segments.json", "a.txt.md", "a.txt.segments.json")
    ]
    assert (out / "a.md").read_text() == "<!-- page 1 -->\n\nOne\n\n"
    found = json.loads((out / "a.txt.segments.json").read_text())
    assert [segment["body"] for segment in found["segments"]] == ["Two"]


@on_one_database
@pytest.mark.anyio
async def test_run_ends_with_3_when_a_part_failed(files: Files) -> None:
    bad = files.write("locked.txt", "fail PASSWORD\n")
    told = await files.run(files.write("a.txt", "page One\n"), bad)
    assert told.status == 3
    assert told.out == "=== a.txt, page 1: Book > Chapter 1\n\nOne\n\n"
    assert told.err == "docyard: locked.txt failed (PASSWORD): It cannot be read.\n"


@on_one_database
@pytest.mark.anyio
async def test_run_ends_with_1_when_the_job_failed(files: Files) -> None:
    told = await files.run(files.write("locked.txt", "fail PASSWORD\n"))
    assert told.status == 1
    assert told.out == ""
    assert "docyard: locked.txt failed (PASSWORD): It cannot be read.\n" in told.err


@on_one_database
@pytest.mark.anyio
async def test_run_ends_with_1_when_the_service_refuses(files: Files) -> None:
    told = await files.run("--max-size", "0", files.write("a.txt", "page One\n"))
    assert told.status == 1
    assert told.out == ""
    assert told.err.startswith("docyard: Invalid input (INVALID_INPUT): ")


@on_one_database
@pytest.mark.anyio
async def test_what_a_document_says_to_the_terminal_is_not_passed_on(files: Files) -> None:
    told = await files.run(files.write("a.txt", "page \x1b[2Jgone\n"))
    assert told.out == "=== a.txt, page 1: Book > Chapter 1\n\n\N{REPLACEMENT CHARACTER}[2Jgone\n\n"


@on_one_database
@pytest.mark.anyio
@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
async def test_run_cancels_its_job_when_it_is_interrupted(
    files: Files, number: int, status: int
) -> None:
    async with files.service.working():
        process = await files.start(files.write("a.txt", "page One\nhang\n"))
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            while not (await process.stderr.readline()).startswith(b"Working"):
                pass
            process.send_signal(number)
            out, err = await process.communicate()
    assert (process.returncode, out) == (status, b"")
    assert b"Traceback" not in err
    assert await statuses(files.service) == ["CANCELED"]


async def statuses(service: Service) -> Sequence[str]:
    found = await service.ask("{ jobs { nodes { status } } }")
    return [job["status"] for job in found["nodes"]]
