"""Long values over several lines, so that people can read them."""

from __future__ import annotations

import re

#: Characters of a group that stays in one line.
WIDTH = 80
INDENT = "  "

#: A literal, also one that is not closed; brackets; the comma between two items; all else. The time is linear.
_PIECE = re.compile(
    r"""'(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+"?|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,\s)|[^'"()\[\]{},]+|,""",
    re.DOTALL,
)


def lay_out(text: str, width: int = WIDTH) -> str:
    """Break a list, tuple or dict that is written as one long line, an item a line; any other text stays as it is."""
    if len(text) <= width or "\n" in text or text[0] not in "([{":
        return text
    pieces = list(_PIECE.finditer(text))
    broken = _too_long(pieces, width)
    lines, open_groups = [], [False]
    for number, piece in enumerate(pieces):
        if piece["open"]:
            open_groups.append(number in broken)
            lines.append(piece[0] + _line_end(open_groups))
        elif piece["close"] and len(open_groups) > 1:
            is_broken = open_groups.pop()
            lines.append((f"\n{INDENT * sum(open_groups)}" if is_broken else "") + piece[0])
        else:
            lines.append(f",{_line_end(open_groups) or ' '}" if piece["comma"] else piece[0])
    return "".join(lines)


def _line_end(open_groups: list[bool]) -> str:
    return f"\n{INDENT * sum(open_groups)}" if open_groups[-1] else ""


def _too_long(pieces: list[re.Match[str]], width: int) -> set[int]:
    """Find the brackets whose group does not fit into a line."""
    waiting: list[int] = []
    found = set()
    for number, piece in enumerate(pieces):
        if piece["open"]:
            waiting.append(number)
        elif piece["close"] and waiting:
            start = waiting.pop()
            if piece.end() - pieces[start].start() > width - len(INDENT) * len(waiting):
                found.add(start)
    return found
