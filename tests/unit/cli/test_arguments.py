"""What several commands ask of their arguments."""

import argparse
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.cli import compare, leave_one_center_out, predict, train
from nnmtl.cli.arguments import check_output, use_every_core, whole_number
from nnmtl.errors import NnmtlError


def test_an_output_folder_may_be_new_at_any_depth_or_exist(tmp_path):
    check_output(tmp_path / "a" / "b")
    check_output(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["", "sub", "sub/sub"])
def test_a_file_where_the_output_folder_should_be_is_named(tmp_path, below):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NnmtlError, match=r"-o .*expected a folder .*notes\.txt is a file"):
        check_output(tmp_path / "notes.txt" / below)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write all
    with pytest.raises(NnmtlError, match="may not be written"):
        check_output(tmp_path / "new")


COMMANDS = {
    predict: ["-i", "images", "-m", "model", "-device", "cpu"],
    compare: ["-d", "1", "--presets", "tiny_cpu", "-device", "cpu"],
    leave_one_center_out: ["-d", "1", "-device", "cpu"],
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda module: module.__name__)
def test_a_command_refuses_an_output_that_is_a_file_before_anything_else(
    command, tmp_path, monkeypatch
):
    (tmp_path / "out").touch()
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    with pytest.raises(NnmtlError, match="is a file"):
        command.main([*COMMANDS[command], "-o", str(tmp_path / "out")])


@given(st.integers(), st.integers(0, 9))
def test_a_whole_number_is_taken_from_its_range_only(number, low):
    try:
        assert whole_number(low, 99)(str(number)) == number
    except argparse.ArgumentTypeError:
        assert not low <= number <= 99
    else:
        assert low <= number <= 99


@pytest.mark.parametrize("text", ["", "1.0", "x", "²", "-", " 1", "1e3"])
def test_anything_else_is_no_whole_number(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a whole number of at least 1"):
        whole_number(1)(text)


@pytest.mark.parametrize(
    "words", [["--seed", "-1"], ["--seed", str(2**32)], ["--epochs", "0"], ["--iterations", "-3"]]
)
def test_training_refuses_numbers_that_no_training_can_have(words, capsys):
    with pytest.raises(SystemExit) as ended:
        train.main(["1", "3d_fullres", "0", *words])
    assert ended.value.code == 2
    assert f"{words[0]}: expected a whole number" in capsys.readouterr().err


def test_the_number_of_threads_stays_what_the_user_has_set(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "3")
    use_every_core()
    assert os.environ["nnUNet_def_n_proc"] == "3"
