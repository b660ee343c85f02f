"""Characters that no text of a caller's may hold."""

import re

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
"""NUL and halves of characters, which databases refuse."""
UNREADABLE = re.compile(r"[\x00-\x1f\ud800-\udfff]")
"""All control characters besides: people read none."""
