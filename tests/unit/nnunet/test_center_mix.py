"""How often each grid and each case is drawn."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.nnunet.center_mix import CenterMix, cases_by_grid
from nnmtl.nnunet.roi_loader import RoiLoader

SHARED, OWN = SimpleNamespace(name="3d_fullres"), SimpleNamespace(name="3d_fullres_c")


def parts_of(sizes, *, is_balanced=True, own="C"):
    cases = [f"{name}{number}" for name, size in sizes.items() for number in range(size)]
    return cases, cases_by_grid(
        cases,
        lambda case: case[0],
        lambda center: OWN if center == own else SHARED,
        is_balanced=is_balanced,
    )


def chance_of_case(parts):
    return {
        case: part.share * (1 / len(part.case_ids) if part.chances is None else part.chances[row])
        for part in parts
        for row, case in enumerate(part.case_ids)
    }


def test_centers_are_drawn_by_the_square_root_of_their_size():
    _, parts = parts_of({"A": 100, "B": 4, "C": 25})
    chances = chance_of_case(parts)
    shares = {name: sum(chances[case] for case in chances if case[0] == name) for name in "ABC"}
    assert shares == pytest.approx({"A": 10 / 17, "B": 2 / 17, "C": 5 / 17})


@given(st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 40), min_size=1), st.booleans())
def test_every_case_is_in_one_part_and_the_chances_sum_to_one(sizes, is_balanced):
    cases, parts = parts_of(sizes, is_balanced=is_balanced)
    drawn = [case for part in parts for case in part.case_ids]
    assert sorted(drawn) == sorted(cases)
    assert sum(chance_of_case(parts).values()) == pytest.approx(1)
    for part in parts:
        assert part.chances is None or sum(part.chances) == pytest.approx(1)


def test_one_grid_without_balance_is_as_nnunet_draws():
    cases, (part,) = parts_of({"A": 9, "B": 3}, is_balanced=False)
    assert (part.case_ids, part.chances, part.share) == (tuple(cases), None, 1.0)


class Loader(RoiLoader):
    """One that needs no arrays to be told what to draw."""

    def __init__(self, cases):
        self.indices, self.sampling_probabilities = cases, None


class Endless:
    """A loader that returns its name."""

    def __init__(self, name):
        self.name = name

    def __next__(self):
        return {"keys": [self.name]}


def test_batches_come_in_the_shares_and_are_repeatable():
    mix = CenterMix([Endless("A"), Endless("B")], [0.8, 0.2])

    def drawn():
        np.random.seed(3)  # noqa: NPY002 nnU-Net's stream
        return [next(mix)["keys"][0] for _ in range(2000)]

    first = drawn()
    assert drawn() == first
    assert Counter(first)["B"] == pytest.approx(400, abs=60)


def test_cases_are_drawn_by_given_shares_whatever_their_grid():
    loaders = [Loader(["a", "b"]), Loader(["c"])]
    mix = CenterMix(loaders, [0.5, 0.5])
    mix.draw_by(["a", "b", "c"], None)
    assert mix.shares == [0.5, 0.5]
    mix.draw_by(["a", "b", "c"], np.array([0.1, 0.3, 0.6]))
    assert mix.shares == pytest.approx([0.4, 0.6])
    assert loaders[0].sampling_probabilities == pytest.approx([0.25, 0.75])
    assert loaders[1].sampling_probabilities == pytest.approx([1.0])


def test_a_single_loader_draws_nothing_of_its_own():
    np.random.seed(3)  # noqa: NPY002 nnU-Net's stream
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    next(CenterMix([Endless("A")], [1.0]))
    assert np.random.rand() == expected  # noqa: NPY002
