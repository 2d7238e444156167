"""A table as plain text keeps every cell, in columns."""

from hypothesis import given
from hypothesis import strategies as st

from nnmtl.text_table import aligned

CELL = st.text("ab", min_size=1, max_size=5)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1))
def test_every_column_begins_at_one_place_and_every_cell_is_there(rows):
    lines = aligned(rows)
    assert [tuple(line.split()) for line in lines] == rows
    starts = [2 + max(len(row[0]) for row in rows)]
    starts.append(starts[0] + 2 + max(len(row[1]) for row in rows))
    for line, row in zip(lines, rows, strict=True):
        assert [line[start:].split()[0] for start in starts] == list(row[1:])


def test_an_empty_last_cell_leaves_no_space_at_the_end():
    assert aligned([("a", "long"), ("b", "")]) == ["a  long", "b"]
