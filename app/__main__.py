"""The command line. Each command is a few lines here; its work is in the module of its noun."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from app.terminal import CommandFailed, tell

if TYPE_CHECKING:
    from app.settings import Settings

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - no other name

logger = logging.getLogger(__name__)

WRONG_USE = 2
INTERRUPTED = 130
NEW_LINE = "\n"
MOST_DAYS = 36_500


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status. What goes wrong is told in a sentence."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments) or 0)
    except CommandFailed as error:
        tell(f"docyard: {error}")
        return error.status
    except load("settings").SettingError as error:
        tell(f"docyard: {error}")
        return WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads our output has seen enough. Python would complain when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # a person gets a sentence, the log has the rest
        logger.debug("the command failed", exc_info=True)
        tell(f"docyard: {type(error).__name__}: {str(error).partition(NEW_LINE)[0]}")
        return 1


def load(name: str) -> ModuleType:
    """Import a module of this package when a command needs it: `--help` does not wait for them."""
    return import_module(f"app.{name}")


def settings(arguments: argparse.Namespace) -> "Settings":
    """Read the settings, those of the command line first, and start to log."""
    names = ("data_dir", "host", "port", "workers")
    given = {name: getattr(arguments, name, None) for name in names}
    found: Settings = load("settings").Settings.read(**given)
    load("logs").set_up(found.log_level)
    return found


def up(arguments: argparse.Namespace) -> None:
    load("embedded.service").up(
        settings(arguments),
        ready_file=arguments.ready_file,
        attended=arguments.attended,
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.url and not arguments.key:
        raise CommandFailed("--url needs --key (or DOCYARD_API_KEY).", status=WRONG_USE)
    named = None
    if arguments.url:
        named = load("embedded.endpoint").Endpoint.at(arguments.url, api_key=arguments.key, pid=0)
    module = load("cli.run")
    request = module.Request(
        files=arguments.files,
        max_size=arguments.max_size,
        named=named,
        as_json=arguments.json,
        out=arguments.out,
        quiet=arguments.quiet,
    )
    return int(module.run(settings(arguments), request))


def serve(arguments: argparse.Namespace) -> None:
    found = load("embedded.folder").complete(settings(arguments))
    if arguments.fd is None:  # `docyard up`, which hands over a socket, has done it before
        load("cli.upkeep").migrate(found)
    load("server").serve(found, fd=arguments.fd)


def work(arguments: argparse.Namespace) -> NoReturn:
    folder, supervisor = load("embedded.folder"), load("embedded.supervisor")
    found = folder.complete(settings(arguments))
    load("cli.upkeep").check(found)  # where every step of the worker would fail
    environment = supervisor.inherited() | folder.environment(found)
    command = supervisor.module("workers")
    os.execve(command[0], command, environment)  # noqa: S606 - our own module, and no shell is wanted


def migrate(arguments: argparse.Namespace) -> None:
    load("cli.upkeep").migrate(settings(arguments))


def schema(_arguments: argparse.Namespace) -> None:
    sys.stdout.write(load("api.schema").printed())


def create_key(arguments: argparse.Namespace) -> None:
    days = arguments.expires_days
    load("cli.upkeep").create_key(
        settings(arguments),
        application=arguments.application,
        name=arguments.name,
        scope=arguments.scope,
        lifetime=None if days is None else timedelta(days=days),
    )


def explorer(arguments: argparse.Namespace) -> None:
    load("cli.upkeep").show_explorer(settings(arguments))


def doctor(arguments: argparse.Namespace) -> int:
    return int(load("cli.doctor").examine(settings(arguments)))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog="docyard",
        description="A self-hosted service for document jobs.",
        epilog="Settings are variables, DOCYARD_<NAME>; the README lists them. Exit status: 0 done,"
        " 1 failed, 2 wrong use or a wrong setting, 3 (run) done in part, 130 interrupted.",
    )
    root.add_argument("--version", action="version", version=f"docyard {version()}")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="data folder of the service (DOCYARD_DATA_DIR)"
    )
    listen = argparse.ArgumentParser(add_help=False)
    listen.add_argument("--host", help="address to listen on (127.0.0.1)")
    listen.add_argument("--port", type=int, help="port to listen on (8000); 0 takes a free one")

    add_up(commands, folder, listen)
    add_run(commands, folder)
    add(commands, "serve", serve, "answer callers: the API alone", folder, listen).add_argument(
        "--fd", type=int, help="a socket, inherited from the parent, that listens already"
    )
    add(commands, "work", work, "do jobs: one worker alone", folder)
    add(commands, "migrate", migrate, "bring the database up to date", folder)
    add(commands, "schema", schema, "print the GraphQL schema")
    add_key(commands, folder)
    add(commands, "explorer", explorer, "print a link that opens the explorer, signed in", folder)
    add(commands, "doctor", doctor, "say what works on this machine and what does not", folder)
    return root


def add(
    commands: "Commands",
    name: str,
    command: Callable[[argparse.Namespace], object],
    help: str,
    *parents: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """Add a command to the parser and return its own."""
    made: argparse.ArgumentParser = commands.add_parser(
        name, parents=parents, help=help, description=f"{help[0].upper()}{help[1:]}."
    )
    made.set_defaults(command=command)
    return made


def add_up(commands: "Commands", *parents: argparse.ArgumentParser) -> None:
    made = add(commands, "up", up, "run the whole service on this machine", *parents)
    made.add_argument(
        "--workers", type=int, metavar="N", help="worker processes; 0, the default: one per core"
    )
    made.add_argument(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help="gets address and key as JSON once the service answers; removed at the end",
    )
    # For `docyard run`, which nobody watches start: secrets would be printed into its log.
    made.add_argument("--unattended", dest="attended", action="store_false", help=argparse.SUPPRESS)


def add_run(commands: "Commands", *parents: argparse.ArgumentParser) -> None:
    made = add(commands, "run", run, "split files into segments and print them", *parents)
    made.add_argument("files", nargs="+", type=Path, metavar="FILE")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.add_argument(
        "--out", type=Path, metavar="DIR", help="write NAME.segments.json and NAME.md for each file"
    )
    made.add_argument(
        "--max-size", type=int, default=5000, metavar="N", help="characters a segment (5000)"
    )
    made.add_argument(
        "--url", default=os.environ.get("DOCYARD_URL"), help="a service that runs (DOCYARD_URL)"
    )
    made.add_argument(
        "--key", default=os.environ.get("DOCYARD_API_KEY"), help="its API key (DOCYARD_API_KEY)"
    )
    made.add_argument("--quiet", action="store_true", help="show no progress")


def add_key(commands: "Commands", *parents: argparse.ArgumentParser) -> None:
    key = commands.add_parser("key", help="make API keys")
    verbs = key.add_subparsers(title="commands", required=True, metavar="COMMAND")
    made = add(verbs, "create", create_key, "make an API key and print it, once", *parents)
    made.add_argument(
        "--application",
        type=a_name,
        metavar="NAME",
        help="whose key it is; made where there is none of this name; else the oldest",
    )
    made.add_argument("--name", default="command line", help="a name to know the key by")
    made.add_argument(
        "--scope", choices=("READ", "WRITE", "ADMIN"), default="WRITE", help="its rights (WRITE)"
    )
    made.add_argument(
        "--expires-days", type=some_days, metavar="N", help="days until it is worthless"
    )


def a_name(text: str) -> str:
    """Read a name."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a name must not be empty")
    return text.strip()


def some_days(text: str) -> int:
    """Read a number of days, at most a hundred years."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be 1 to {MOST_DAYS} days")
    return int(text)


def version() -> str:
    """Return the version that is installed."""
    try:
        return metadata.version("docyard")
    except metadata.PackageNotFoundError:
        return "(a checkout, not installed)"


if __name__ == "__main__":
    sys.exit(main())
