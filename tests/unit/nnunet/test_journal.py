"""An interrupted prediction goes on, but never with another model's cases."""

from nnmtl.nnunet.journal import NAME, Journal

MADE_BY = {"model": "m", "folds": [0]}


def test_finished_cases_are_found_by_the_next_call(tmp_path):
    Journal(tmp_path, MADE_BY).add("a", {"volume_ml": 1.5})
    assert Journal(tmp_path, MADE_BY).finished() == {"a": {"volume_ml": 1.5}}


def test_cases_of_another_model_do_not_count(tmp_path):
    Journal(tmp_path, MADE_BY).add("a", {})
    assert Journal(tmp_path, {**MADE_BY, "folds": [1]}).finished() == {}
    assert Journal(tmp_path, MADE_BY).finished() == {}


def test_a_line_that_was_cut_costs_its_own_case_only(tmp_path):
    journal = Journal(tmp_path, MADE_BY)
    journal.add("a", {})
    with journal.path.open("a") as stream:
        stream.write('["b", {"vol')
    again = Journal(tmp_path, MADE_BY)
    again.add("c", {})
    assert list(again.finished()) == ["a", "c"]


def test_a_finished_prediction_leaves_no_journal(tmp_path):
    journal = Journal(tmp_path, MADE_BY)
    journal.remove()
    assert not (tmp_path / NAME).exists()
