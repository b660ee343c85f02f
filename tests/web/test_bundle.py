"""The hook of the build: the page is made once, shipped, and never in the way of installing."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.web.bundle import is_fresh, own_node, sources

ROOT = Path(__file__).parents[2]
PACKED = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "workers", "app")
MADE = shutil.ignore_patterns("dist", "node_modules", "__pycache__")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project as it is in the repository."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in PACKED:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=MADE)
        else:
            shutil.copy2(path, folder / name)
    return folder


def wheel(project: Path, **environment: str) -> tuple[set[str], str]:
    """Build a wheel; return the names of its files, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(project / "out")],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (made,) = (project / "out").glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        return set(archive.namelist()), done.stderr


def test_without_node_the_wheel_is_made_with_a_warning(project: Path, tmp_path: Path) -> None:
    names, said = wheel(project, PATH=str(tmp_path))
    assert "The explorer at /graphiql is not built; everything else works." in said
    assert "It needs Node.js 20.19 or newer." in said
    assert {"app/web/package-lock.json", "app/web/src/main.jsx", "app/asgi.py"} < names
    assert not any(name.startswith("app/web/dist/") for name in names)


@pytest.mark.skipif(own_node() is None, reason="no Node.js is here")
def test_without_the_registry_the_wheel_is_made_with_a_warning(
    project: Path, tmp_path: Path
) -> None:
    names, said = wheel(
        project,
        npm_config_registry="http://127.0.0.1:1/",
        npm_config_cache=str(tmp_path / "cache"),
        npm_config_fetch_retry_mintimeout="1",
        npm_config_fetch_retry_maxtimeout="1",
    )
    assert "The explorer at /graphiql is not built; everything else works." in said
    assert "ECONNREFUSED" in said
    assert "app/web/dist/index.html" not in names


def test_what_is_fresh_is_shipped_and_not_built_again(project: Path, tmp_path: Path) -> None:
    index = project / "app" / "web" / "dist" / "index.html"
    index.parent.mkdir()
    index.write_text("built")
    names, said = wheel(project, PATH=str(tmp_path))
    assert "not built" not in said
    assert "app/web/dist/index.html" in names
    assert index.read_text() == "built"


def test_the_page_is_fresh_again_once_a_source_is_newer(project: Path) -> None:
    web = project / "app" / "web"
    assert not is_fresh(web)
    (web / "dist").mkdir()
    made = web / "dist" / "index.html"
    made.touch()
    assert is_fresh(web)
    for source in sources(web):
        before = source.stat()
        os.utime(source, (made.stat().st_mtime + 1,) * 2)
        assert not is_fresh(web), source
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert is_fresh(web)
