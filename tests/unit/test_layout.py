"""Long values are broken into lines, and nothing of them is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_future_celery.admin.layout import lay_out

PLAIN = st.recursive(
    st.integers() | st.text() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def test_what_fits_into_a_line_stays_in_it():
    assert lay_out("{'a': [1, 2]}") == "{'a': [1, 2]}"


def test_an_item_has_a_line_of_its_own_where_its_group_is_too_long():
    assert lay_out("{'first': [1, 2], 'second': (3, 4)}", width=20) == "{\n  'first': [1, 2],\n  'second': (3, 4)\n}"


def test_groups_are_indented_by_their_depth():
    assert lay_out("[[1111, 2222], {'a': [3333, 4444]}]", width=13) == (
        "[\n  [\n    1111,\n    2222\n  ],\n  {\n    'a': [\n      3333,\n      4444\n    ]\n  }\n]"
    )


def test_brackets_and_commas_in_a_literal_are_its_own():
    literal = r"'a, [b'"
    assert lay_out(f"[{literal}, {literal}]", width=10) == f"[\n  {literal},\n  {literal}\n]"


@pytest.mark.parametrize("text", ["", "done, " * 40, "Traceback (most, recent)\n" * 9, "[1,\n 2]" * 20])
def test_prose_stays_as_it_is(text):
    assert lay_out(text) == text


@pytest.mark.parametrize("text", ["[" * 200, "]" * 200, "[)" * 100, "['" * 100, '["\\' * 100, "(" + "[}" * 99])
def test_what_is_no_value_keeps_all_its_characters(text):
    assert "".join(lay_out(text).split()) == text


@given(PLAIN, st.integers(1, 40))
def test_a_value_stays_the_same(value, width):
    assert eval(lay_out(repr(value), width)) == value  # its own repr
