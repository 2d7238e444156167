"""How a command ends: its exit code, and what it says."""

import errno
import logging
import os

import pytest

from nnmtl.cli.command import run
from nnmtl.errors import NnmtlError


@pytest.fixture(autouse=True)
def logs_as_before(monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **given: None)


def end_of(main, capsys):
    with pytest.raises(SystemExit) as ended:
        run(main)
    return ended.value.code, capsys.readouterr().err


def failing(error):
    def main():
        raise error

    return main


def test_a_command_ends_with_the_code_of_its_main(capsys):
    assert end_of(lambda: 1, capsys) == (1, "")


def test_bad_input_is_one_line_and_code_2(capsys):
    assert end_of(failing(NnmtlError("so.")), capsys) == (2, "error: so.\n")


def test_a_file_in_the_place_of_a_folder_is_one_line_with_its_path(tmp_path, capsys):
    (tmp_path / "out").touch()
    code, told = end_of((tmp_path / "out" / "sub").mkdir, capsys)
    assert code == 2
    assert told.startswith(
        f"error: {tmp_path / 'out' / 'sub'}: expected a file or folder that can be read"
    )
    assert told.count("\n") == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOTDIR])
def test_a_refusal_of_the_system_is_one_line(number, capsys):
    refusal = OSError(number, os.strerror(number), "/data/raw/x.csv")
    code, told = end_of(failing(refusal), capsys)
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith("error: /data/raw/x.csv: expected a file or folder that can be")
    assert os.strerror(number) in told


def test_a_full_disk_is_told_in_a_line_without_the_name_of_a_file(capsys):
    code, told = end_of(failing(OSError(errno.ENOSPC, "No space left on device")), capsys)
    assert (code, told.count("\n")) == (2, 1)
    assert "No space left" in told
    assert "None" not in told


def test_any_other_failure_of_the_system_is_not_hidden():
    with pytest.raises(FileNotFoundError):
        run(failing(FileNotFoundError(errno.ENOENT, "No such file", "x")))


def test_an_interruption_has_its_own_code(capsys):
    assert end_of(failing(KeyboardInterrupt()), capsys) == (130, "interrupted\n")
