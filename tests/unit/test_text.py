import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_future_celery.text import describe_error, describe_value, storable

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


class Mute:
    def __str__(self):
        raise ValueError("no words")


class MuteError(Exception):
    def __str__(self):
        raise ValueError("no words")


def test_short_text_stays_as_it_is():
    assert storable("größer 🎉", 9) == "größer 🎉"


def test_nul_and_lone_surrogates_become_escapes():
    assert storable("a\0b\ud800c", 100) == r"a\x00b\ud800c"


@pytest.mark.parametrize("keep", ["head", "tail"])
@given(text=ANY_TEXT, limit=st.integers(0, 60))
def test_any_text_becomes_storable_within_the_limit(keep, text, limit):
    kept = storable(text, limit, keep)
    assert len(kept) <= limit
    assert "\0" not in kept
    kept.encode()


@pytest.mark.parametrize("length", [41, 99, 1000, 1009, 12345])
@pytest.mark.parametrize("keep", ["head", "tail"])
def test_the_mark_counts_the_characters_that_were_cut(keep, length):
    text = "x" * length
    kept = storable(text, 40, keep)
    count = int(re.search(r"\[(\d+) characters cut\]", kept)[1])
    assert kept.count("x") == length - count
    assert len(kept) <= 40


def test_head_and_tail_keep_their_ends():
    text = "start" + "-" * 100 + "end"
    assert re.fullmatch(r"start-+… \[\d+ characters cut\]", storable(text, 50))
    assert re.fullmatch(r"\[\d+ characters cut\] …-+end", storable(text, 50, "tail"))


def test_a_value_is_described_by_its_str():
    assert describe_value(12.5, 100) == "12.5"
    assert describe_value("long" * 100, 40).endswith("characters cut]")


def test_a_value_without_words_is_described_by_its_type():
    assert describe_value(Mute(), 100) == "<Mute, whose __str__ raised ValueError>"
    assert describe_value(10**5000, 100) == "<int, whose __str__ raised ValueError>"


def test_a_value_that_ends_the_process_still_does():
    class Exit:
        def __str__(self):
            raise SystemExit

    with pytest.raises(SystemExit):
        describe_value(Exit(), 100)


def raised(error):
    secret = "hunter2"  # noqa: F841
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_error_is_described_by_its_traceback():
    text = describe_error(raised(KeyError("colour")), 10_000)
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("KeyError: 'colour'\n")


def test_local_variables_never_show():
    assert "hunter2'" not in describe_error(raised(KeyError()), 10_000)


def test_causes_and_notes_show():
    error = KeyError("outer")
    error.__cause__ = ValueError("inner")
    error.add_note("a note")
    text = describe_error(raised(error), 10_000)
    assert "ValueError: inner" in text
    assert "a note" in text


def test_the_end_of_a_long_traceback_is_kept():
    text = describe_error(raised(KeyError("colour")), 60)
    assert len(text) <= 60
    assert text.startswith("[")
    assert text.endswith("KeyError: 'colour'\n")


def test_an_error_whose_str_raises_is_described():
    assert "MuteError" in describe_error(raised(MuteError()), 10_000)


def test_an_error_whose_traceback_cannot_be_written_is_named(monkeypatch):
    def broken(error):
        raise RecursionError

    monkeypatch.setattr("traceback.format_exception", broken)
    expected = "KeyError, whose traceback could not be written: RecursionError"
    assert describe_error(KeyError(), 10_000) == expected


def test_nul_in_an_error_is_escaped():
    assert r"a\x00b" in describe_error(raised(ValueError("a\0b")), 10_000)
