"""What a command says to the person at the terminal, and the end of a command that cannot go on."""

import re
import sys

# Escape sequences in a document or its name would otherwise be obeyed by the terminal.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class CommandFailed(Exception):
    """A command cannot go on: a sentence for a person, and the status the command exits with."""

    def __init__(self, sentence: str, *, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


def printable(text: str) -> str:
    """Return the text without what a terminal would obey; line ends and tabs stay."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def say(text: str = "") -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """Write a line to standard error: what is wrong, or how far it is."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()
