"""The browser's part: GraphiQL as our explorer. Built into dist/, which is shipped, not kept."""

from pathlib import Path

DIST = Path(__file__).parent / "dist"


def has_page(dist: Path = DIST) -> bool:
    """Return whether the page is there: it is left out where it could not be built."""
    return (dist / "index.html").is_file()
