"""How a command ends when the system refuses a file: one sentence, and no traceback."""

import errno
import logging
import os

import pytest

from nnmtl.cli.command import EXIT_BAD_INPUT, run


@pytest.fixture(autouse=True)
def logs_as_before(monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **given: None)


def failing(*given):
    def main():
        raise OSError(*given)

    return main


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOTDIR])
def test_a_refusal_of_the_system_is_one_sentence(number, capsys):
    with pytest.raises(SystemExit) as ended:
        run(failing(number, os.strerror(number), "/data/raw/x.csv"))
    told = capsys.readouterr().err
    assert ended.value.code == EXIT_BAD_INPUT
    assert told.startswith("error: /data/raw/x.csv: expected a file or folder that can be")
    assert os.strerror(number) in told
    assert told.count("\n") == 1


def test_a_full_disk_needs_no_name_of_a_file(capsys):
    with pytest.raises(SystemExit):
        run(failing(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert "None" not in capsys.readouterr().err


def test_a_file_that_we_forgot_to_make_keeps_its_traceback():
    with pytest.raises(FileNotFoundError):
        run(failing(errno.ENOENT, os.strerror(errno.ENOENT), "/data/raw/x.csv"))
