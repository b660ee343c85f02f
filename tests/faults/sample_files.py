"""Files to work on, made anew: `python sample_files.py FOLDER` writes them and prints their pages.

A program of its own, because PyMuPDF is never imported where the tests run.
"""

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

PDFS = {"short.pdf": 4, "medium.pdf": 40, "long.pdf": 160}
TEXT = (
    "river bank court paper notice levee sediment gauge valley ledger clause tenant annual surface"
    " orchard kettle harbour station winter railway chapter market lantern quarry mill"
)
WORDS = TEXT.split()


@dataclass(frozen=True)
class Sample:
    """A file. pages: None where the format has none."""

    path: Path
    pages: int | None

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def body(self) -> bytes:
        return self.path.read_bytes()

    @cached_property
    def sha256(self) -> str:
        return sha256(self.body).hexdigest()


def make(folder: Path) -> dict[str, Sample]:
    """Write the samples into a folder; return them by name."""
    command = [sys.executable, __file__, str(folder)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return {name: Sample(folder / name, pages) for name, pages in json.loads(told.stdout).items()}


def main() -> None:
    """Write everything; the same bytes of text at each call."""
    folder = Path(sys.argv[1])
    pages: dict[str, int | None] = {}
    for seed, (name, count) in enumerate(PDFS.items()):
        _pdf(folder / name, count, seed)
        pages[name] = count
    _pdf(folder / "locked.pdf", 2, 7, password="closed")  # noqa: S106 - nobody is to know it
    (folder / "garbage.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 20)
    (folder / "notes.md").write_text(_markdown(), "utf-8")
    (folder / "plain.txt").write_text("\n\n".join(_sentences(_chance(9), 400)), "utf-8")
    nothing = dict.fromkeys(("locked.pdf", "garbage.pdf", "notes.md", "plain.txt"))
    sys.stdout.write(json.dumps(pages | nothing))


def _pdf(path: Path, pages: int, seed: int, *, password: str | None = None) -> None:
    import pymupdf  # noqa: PLC0415 - who only wants Sample does not pay for it

    chance = _chance(seed)
    document = pymupdf.open()
    for number in range(1, pages + 1):
        page = document.new_page()
        if number % 3 == 1:
            page.insert_text((72, 60), f"{number // 3 + 1} {chance.choice(WORDS)}", fontsize=18)
        for line, text in enumerate(_sentences(chance, 6)):
            box = pymupdf.Rect(72, 90 + 90 * line, 520, 170 + 90 * line)
            page.insert_textbox(box, text, fontsize=10)
    if password is None:
        document.save(path)
    else:
        seal = pymupdf.PDF_ENCRYPT_AES_256  # type: ignore[attr-defined]
        document.save(path, encryption=seal, user_pw=password, owner_pw=password)


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same each time, and no secret


def _markdown() -> str:
    chance = _chance(8)
    parts = []
    for chapter in range(1, 31):
        parts += [f"# Chapter {chapter}", *_sentences(chance, 5), f"## The {chapter}th table"]
        parts.append("| name | count |\n|---|---|\n| mill | 3 |\n| quay | 4 |")
    return "\n\n".join(parts)


def _sentences(chance: random.Random, count: int) -> list[str]:
    return [" ".join(chance.choices(WORDS, k=50)).capitalize() + "." for _ in range(count)]


if __name__ == "__main__":
    main()
