"""What is shown of arguments, results and errors, in the admin, in logs and in Celery's events: no secrets.

The row keeps all as it is. ``FUTURE_CELERY_REDACT`` names who decides what is shown of it.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from django_future_celery.conf import settings
from django_future_celery.logs import about
from django_future_celery.text import describe_error, describe_value

if TYPE_CHECKING:
    from django_future_celery.models import ScheduledJob

logger = logging.getLogger(__name__)

What = Literal["args", "kwargs", "result", "error"]
Redactor = Callable[[str, What, Any], str]

#: Characters of an error that is told in one line.
MOST_IN_SHORT = 500
NOT_SHOWN = "[not shown: FUTURE_CELERY_REDACT failed, the log says why]"

_LITERAL = r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
#: A whole literal, which may be a key, or a bare name before a sign. All runs are possessive: the time is linear.
_TOKEN = re.compile(
    rf"(?<![\\\w])b?(?P<literal>{_LITERAL})(?P<colon>\s*:\s*|\]\s*=(?!=)\s*)?"
    r"|(?<![\w.-])(?<!//)(?P<name>[\w.-]++)(?P<quote>\\*+['\"])?[ \t]*+(?P<sign>:=|=>|=(?!=)|:(?!//))[ \t]*+",
)
_PIECE = re.compile(rf"{_LITERAL}|\\.|(?P<open>[(\[{{<])|(?P<close>[)\]}}>])|(?P<end>[,;&\s])|.", re.DOTALL)
_SCHEME = re.compile(r"(?:bearer|basic|digest|token)[ \t]+(?=\S)", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^\s/'\"<>]*@")
#: What a traceback's last line begins with: ``KeyError: 'name'`` says no value of a key.
_EXCEPTION = re.compile(r"(?:Error|Exception|Warning)$")


def redact(text: str, what: What, job: ScheduledJob) -> str:
    """Give what may be shown of a text; it never raises."""
    try:
        redactor = find_redactor(settings.REDACT)
    except Exception as error:
        logger.error("FUTURE_CELERY_REDACT = %r cannot be used: %s", settings.REDACT, error)
        return NOT_SHOWN
    try:
        return text if redactor is None else _checked(redactor(text, what, job))
    except Exception as error:
        # Where, and not what: its message may have the text in it.
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        logger.error("%s raised %s at %s:%s", settings.REDACT, kind, place.filename, place.lineno)
        return NOT_SHOWN


def redacted_error(error: BaseException, job: ScheduledJob) -> str:
    """Give what may be shown of a traceback."""
    return redact(describe_error(error, settings.MAX_ERROR_SIZE), "error", job)


def in_short(error: BaseException, job: ScheduledJob) -> str:
    """Give what may be shown of an error without its traceback."""
    return f"{type(error).__name__}: {redact(describe_value(error, MOST_IN_SHORT), 'error', job)}"


def find_redactor(path: str | None) -> Redactor | None:
    """Import what a value of ``FUTURE_CELERY_REDACT`` names.

    Raises:
        ImportError, TypeError: it is not there, or cannot be called.
    """
    if path is None:
        return None
    found: Any = import_string(path)
    if not callable(found):
        raise TypeError(f"it is a {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError
    return text


class ErrorFilter(logging.Filter):
    """Has formatters print the redacted traceback of a record that was made with ``extra={"job": job}``.

    What the record is about is in its attributes job_id, callable and attempt.
    The error itself stays on the record, for handlers that send it elsewhere and have filters of their own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        job = vars(record).pop("job", None)
        if job is not None:
            vars(record).update(about(job))
        if job is not None and record.exc_info and record.exc_info[1]:
            record.exc_text = redacted_error(record.exc_info[1], job)
        return True


def get_logger(name: str) -> logging.Logger:
    """Give the logger of a module that logs errors of jobs."""
    found = logging.getLogger(name)
    found.addFilter(ErrorFilter())
    return found


def mask_secrets(text: str, what: What, job: ScheduledJob) -> str:
    """Mask the values under names that look secret, and the userinfo of URLs.

    Names are keys of dicts in a ``repr``, and what stands before ``=`` or ``:``. Which ones look secret, and the mask,
    is what ``DEFAULT_EXCEPTION_REPORTER_FILTER`` says, as in Django's error reports: ``hidden_settings`` (API, AUTH,
    TOKEN, KEY, SECRET, PASS, SIGNATURE …) and ``cleansed_substitute``.
    """
    words: Any = import_string(django_settings.DEFAULT_EXCEPTION_REPORTER_FILTER)
    mask: str = words.cleansed_substitute
    return _masked(_USERINFO.sub(f"{mask}@", text), words.hidden_settings, mask)


def _masked(text: str, secret: re.Pattern[str], mask: str) -> str:
    pieces, position = [], 0
    while token := _TOKEN.search(text, position):
        name = token["name"] or token["literal"][1:-1]
        is_key = token["colon"] or (token["sign"] and not _EXCEPTION.search(name))
        pieces.append(text[position : token.start()])
        position = token.end()
        if is_key and secret.search(name):
            pieces += token[0], mask
            position = _end_of_value(text, position, in_dict=bool(token["colon"] or token["quote"]))
        elif token["literal"] and not token["colon"]:
            start, end = token.span("literal")
            pieces += text[token.start() : start + 1], _masked(name, secret, mask), text[end - 1]
        else:
            pieces.append(token[0])
    return "".join((*pieces, text[position:]))


def _end_of_value(text: str, start: int, in_dict: bool) -> int:
    """Find the end of a value, outside of its own brackets and literals.

    In a dict that is the next comma, closing bracket or end of the line; in a message a space ends it, too.
    """
    depth = 0
    scheme = _SCHEME.match(text, start)
    for piece in _PIECE.finditer(text, scheme.end() if scheme else start):
        ends = piece["end"] and (not in_dict or piece[0] in ",\n")
        closes = in_dict and piece["close"] and piece[0] != ">"
        if (depth == 0 and (ends or closes)) or (piece[0] == "\n" and not in_dict):
            return piece.start()
        depth = max(0, depth + bool(piece["open"]) - bool(piece["close"]))
    return len(text)
