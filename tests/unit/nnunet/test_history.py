import json

import pytest

from nnmtl.nnunet.history import History, mean_losses


def row(epoch, seconds=30.0):
    return {
        "epoch": epoch,
        "seconds": seconds,
        "train": {"segmentation": -0.5, "ER": 0.9},
        "validation": {"dice": 0.8, "ER": {"auc": 0.75, "n": 12}},
    }


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path)
    for epoch in range(4):
        history.append(row(epoch))
    return history


def test_every_epoch_is_one_line(history):
    lines = history.path.read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2, 3]


def test_epochs_that_will_run_again_are_forgotten(history, tmp_path):
    again = History(tmp_path)
    again.restore(2)
    again.append(row(2, seconds=7.0))
    lines = [json.loads(line) for line in history.path.read_text().splitlines()]
    assert [(line["epoch"], line["seconds"]) for line in lines] == [(0, 30.0), (1, 30.0), (2, 7.0)]


def test_a_new_run_forgets_the_history_of_another(tmp_path, history):
    History(tmp_path).restore(0)
    assert history.path.read_text() == ""


def test_the_line_tells_losses_scores_and_the_time_left(history):
    line = history.line(num_epochs=10)
    assert line.startswith("epoch 4/10  30 s  3.0 min left")
    assert "segmentation -0.500, ER 0.900" in line
    assert line.endswith("validation: dice 0.800, ER auc 0.750")


def test_epochs_before_the_heads_do_not_count_for_the_time_left(history):
    history.rows = [row(0, 10.0) | {"train": {"segmentation": -0.5}}]
    assert "over 0.7 min left" in history.line(num_epochs=5)
    history.rows.append(row(1, 60.0))
    assert "  3.0 min left" in history.line(num_epochs=5)


def test_a_task_that_started_late_is_averaged_over_its_own_iterations():
    assert mean_losses([{"seg": 1.0}, {"seg": 3.0, "ER": 5.0}]) == {"seg": 2.0, "ER": 5.0}
