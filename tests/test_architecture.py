"""The arrows of the design: who may import whom, and what never gets into the API's process."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "app": {"workers", "pymupdf", "arq.worker"},
    "app/api": {"arq", "redis", "app.asgi", "app.embedded", "app.cli", "app.__main__"},
    "app/jobs": {"strawberry", "starlette", "app.api", "app.asgi"},
    "app/documents": {"strawberry", "starlette", "arq", "redis", "app.api", "app.jobs"},
    "app/accounts": {
        "strawberry", "starlette", "arq", "redis", "app.api", "app.jobs", "app.documents",
    },
    "app/db": {"strawberry", "starlette", "arq", "redis", "app.api"},
    "workers": {"strawberry", "starlette", "app.api", "app.asgi", "app.embedded", "app.cli"},
    "workers/processors": {
        "sqlmodel", "sqlalchemy", "redis", "arq", "asyncio", "app.db", "app.documents",
        "app.accounts", "app.settings", "app.clock", "app.jobs.models", "app.jobs.queue",
    },
}  # fmt: skip
ONLY = {
    "arq": {"app/jobs/queue.py", "workers/__main__.py"},
    "obstore": {"app/documents/bucket.py"},
    "pymupdf": {"workers/processors"},
}


def imports(path: Path) -> Iterator[str]:
    """Give every module that a file imports; `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


MODULES = sorted(path for top in ("app", "workers") for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path: Path) -> None:
    place = path.relative_to(ROOT)
    if "migrations" in place.parts:
        return  # env.py has to see all tables
    wrong = [
        name
        for folder, names in FORBIDDEN.items()
        if place.is_relative_to(folder)
        for name in imports(path)
        if any(within(name, forbidden) for forbidden in names)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ONLY)
def test_a_seam_is_crossed_in_its_own_place_only(name: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if any(within(each, name) for each in imports(path))
    }
    strangers = {
        user for user in users if not any(Path(user).is_relative_to(place) for place in ONLY[name])
    }
    assert users
    assert strangers == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_a_name_of_its_own(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "misc", "base", "manager"}


def test_the_api_process_never_loads_pymupdf() -> None:
    code = (
        "import sys; from app.asgi import create_app; import app.__main__, app.server;"
        "heavy = {'pymupdf', 'fitz', 'onnxruntime', 'numpy', 'workers'} & set(sys.modules);"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.stderr.decode() == ""
    assert done.returncode == 0


def test_a_worker_process_never_loads_pymupdf() -> None:
    code = (
        "import sys, workers.__main__;"
        "heavy = {'pymupdf', 'fitz', 'onnxruntime', 'strawberry'} & set(sys.modules);"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.stderr.decode() == ""
    assert done.returncode == 0
