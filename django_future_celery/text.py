"""Text that every database takes: of values and of errors, whatever they are."""

from __future__ import annotations

import traceback
from typing import Literal


def storable(text: str, limit: int, keep: Literal["head", "tail"] = "head") -> str:
    """Escape what some database refuses (NUL, lone surrogates) and keep at most ``limit`` characters.

    Of a longer text the head or the tail is kept; a mark, within the limit, says how much was cut.
    """
    text = text.replace("\0", r"\x00").encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    # No mark is longer than one with the greatest number, so the true one fits in its room.
    room = max(limit - len(f"… [{len(text)} characters cut]"), 0)
    cut = len(text) - room
    mark = f"[{cut} characters cut]"
    return (f"{text[:room]}… {mark}" if keep == "head" else f"{mark} …{text[cut:]}")[:limit]


def describe_value(value: object, limit: int) -> str:
    """Give ``str(value)`` in storable form, at most ``limit`` characters; says so if ``__str__`` raises."""
    try:
        text = str(value)
    except Exception as error:
        text = f"<{type(value).__name__}, whose __str__ raised {type(error).__name__}>"
    return storable(text, limit)


def describe_error(error: BaseException, limit: int) -> str:
    """Give the traceback in storable form, at most its last ``limit`` characters; no local variables."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as failure:
        text = f"{type(error).__qualname__}, whose traceback could not be written: {type(failure).__name__}"
    return storable(text, limit, keep="tail")


def one_line(error: BaseException) -> str:
    """Give the message of an error in one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
