from pathlib import Path

import pytest
from papers import MARKDOWN, TEXT, bodies, segments

from workers.processors.markdown import is_markdown

SOURCE = """---
title: Front
---

Title
=====

A paragraph with *emphasis* and
a second line.

- one
  more
- two

  1. deep

```py
# no heading
```

| a | b |
|---|---|
| 1 | 2 |

> quoted

## Next

[link]: https://example.org
"""


def test_markdown_keeps_the_text_of_its_author(tmp_path: Path) -> None:
    source = tmp_path / "text.md"
    source.write_text(SOURCE, encoding="utf-8")
    assert [(part.headings, part.place, part.body) for part in segments(source, MARKDOWN)] == [
        ((), "l2", "```yaml\ntitle: Front\n```"),
        (
            ("Title",),
            "l5",
            (
                "# Title\n\nA paragraph with *emphasis* and\na second line.\n\n"
                "- one\n  more\n- two\n\n"
                "  1. deep\n\n```py\n# no heading\n```\n\n"
                "| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted"
            ),
        ),
        (("Title", "Next"), "l27", "## Next\n\n[link]: https://example.org"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOURCE, True),
        ("# One\n\ntext\n\n## Two\n\ntext\n", True),
        ("Just text.\n\nAnd more of it.\n", False),
        ("#!/bin/sh\n# a comment\nls\n# another\nls\n", False),
        ("- buy milk\n- buy bread\n- go home\n", False),
        ("", False),
    ],
)
def test_plain_text_is_markdown_only_if_it_clearly_is(
    tmp_path: Path, text: str, *, expected: bool
) -> None:
    source = tmp_path / "text"
    source.write_text(text, encoding="utf-8")
    assert is_markdown(source) is expected


def test_clear_markdown_is_read_as_such_under_the_name_of_plain_text(tmp_path: Path) -> None:
    source = tmp_path / "text"
    source.write_text("# One\n\ntext\n\n## Two\n\nmore\n", encoding="utf-8")
    assert bodies(source, TEXT) == bodies(source, MARKDOWN) == ["# One\n\ntext", "## Two\n\nmore"]


def test_a_fence_that_never_ends_is_cut_with_its_fence(tmp_path: Path) -> None:
    source = tmp_path / "text.md"
    source.write_text("```\n" + "a line of code\n" * 30, encoding="utf-8")
    found = bodies(source, MARKDOWN, max_size=100)
    assert all(body.startswith("```\n") and body.endswith("\n```") for body in found)
    assert sum(body.count("a line of code") for body in found) == 30
