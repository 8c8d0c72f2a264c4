"""Texts of failures without what they tell of somebody's machine."""

from __future__ import annotations

import re

ABSOLUTE = re.compile(
    r"""(?<![\w:/\\.~-])                     # not inside a web address or a relative path
        (?:~|[A-Za-z]:)?[/\\]                # root, home, or a drive
        (?:[^\s/\\"'<>|:,;()]+[/\\])*        # folders
        ([^\s/\\"'<>|:,;()]+)                # what lies there
    """,
    re.VERBOSE,
)


def without_paths(text: str) -> str:
    """Absolute paths cut to their last part: folders name people and machines."""
    return ABSOLUTE.sub(r"…/\1", text)
