import csv
import subprocess
import sys

import pytest

from nnmtl.cli.convert import build_parser, converter_summaries, main
from nnmtl.errors import NnmtlError


def test_help_lists_every_converter_with_its_first_line():
    text = build_parser().format_help()
    assert {"table", "phantom"} <= set(converter_summaries())
    for name, summary in converter_summaries().items():
        assert f"  {name:<12} {summary}" in text
        assert summary.endswith(".")


@pytest.mark.parametrize("converter", converter_summaries())
def test_every_converter_adds_its_arguments_and_offers_convert(converter):
    text = build_parser(converter).format_help()
    assert f"nnMTL_convert {converter}" in text
    assert callable(sys.modules[f"nnmtl.dataset_conversion.{converter}"].convert)


def test_help_imports_no_converter():
    code = (
        "import sys; from nnmtl.cli.convert import build_parser; build_parser().format_help(); "
        "sys.exit(any(name.startswith('nnmtl.dataset_conversion.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unset_raw_folder_is_told(source, monkeypatch):
    monkeypatch.delenv("nnUNet_raw")
    with pytest.raises(NnmtlError, match="nnUNet_raw is expected to name a folder"):
        source.convert()


@pytest.mark.parametrize("name", ["file", "file/raw"])
def test_a_raw_folder_that_cannot_be_made_is_told_before_any_work(source, monkeypatch, name):
    (source.folder / "file").write_text("")
    monkeypatch.setenv("nnUNet_raw", str(source.folder / name))
    with pytest.raises(
        NnmtlError, match=r"nnUNet_raw: expected a folder that .* written, got .*raw"
    ):
        source.convert("--dry-run")


def test_an_id_that_is_taken_is_refused(source):
    source.convert()
    with pytest.raises(NnmtlError, match="Dataset007_Glioma exists"):
        source.convert("--name", "Other")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("-d", "1000", "an id from 0 to 999"),
        ("--name", "two__parts", "single '_', got 'two__parts'"),
        ("--name", "a/b", "letters, digits"),
    ],
)
def test_a_name_or_id_that_nnunet_cannot_take_is_refused(source, option, value, message):
    with pytest.raises(NnmtlError, match=message):
        source.convert(option, value)


def test_an_unknown_converter_ends_with_the_choices(capsys):
    with pytest.raises(SystemExit):
        main(["tabel", "-d", "1"])
    assert "choose from" in capsys.readouterr().err


def test_the_name_defaults_to_the_folder_of_the_source(source, capsys):
    source.write_tables()
    argv = ["table", str(source.folder), "-d", "7", "--dry-run"]
    argv += ["--table", str(source.folder / "labels.csv")]
    main([*argv, "--mapping", str(source.folder / "mapping.json")])
    assert "Dataset007_export" in capsys.readouterr().out


def test_a_phantom_needs_no_source(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    monkeypatch.setattr(
        "nnmtl.phantom.cohort.write_cohort", lambda folder, **given: calls.append((folder, given))
    )
    argv = ["phantom", "-", "-d", "901", "--train", "A=8,B=4", "--test", "C=2", "--seed", "5"]
    main([*argv, "--dry-run"])
    assert not calls
    main(argv)
    ((folder, given),) = calls
    assert folder == tmp_path / "Dataset901_PHANTOM_easy"
    assert given["centers"] == {"A": 8, "B": 4}
    assert given["test_centers"] == {"C": 2}
    assert given["seed"] == 5
    assert given["missing"] == {}


def test_a_phantom_may_lack_targets(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    main(["phantom", "-d", "901", "--train", "A=12", "--missing", "ER=1,PR=0.5"])
    with (tmp_path / "Dataset901_PHANTOM_easy" / "targets.csv").open() as file:
        rows = list(csv.DictReader(file))
    known = {name: sum(row[name] != "" for row in rows[:12]) for name in ("ER", "PR", "HER2")}
    assert known["ER"] == 0
    assert 0 < known["PR"] < 12
    assert known["HER2"] == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--train", "Q=1"], "a center among A, B, C, D, got 'Q'"),
        (["--train", "A=1,A=2"], "--train: expected each center once, got 'A' twice"),
        (["--train", "A=0"], "--train: expected at least one case, got none"),
        (["--train", ""], "--train: expected at least one case, got none"),
        (["--train", "A=1", "--preset", "hard"], "a preset among .*, got 'hard'"),
        (["--train", "A=1", "--biomarkers", "ER,IDH"], "biomarkers among .*, got 'IDH'"),
        (["--train", "A=1", "--missing", "ER"], "shares such as ER=0.3.*, got 'ER='"),
        (["--train", "A=1", "--missing", "ER=2"], "between 0 and 1, got 2.0 for 'ER'"),
        (["--train", "A=1", "--missing", "IDH=.1"], "got 0.1 for 'IDH'; the chosen ones are ER"),
        (["--train", "A=1", "--missing", "ER=.1,ER=.2"], "each biomarker once, got 'ER' twice"),
    ],
)
def test_a_dry_run_refuses_the_phantom_that_a_run_would(tmp_path, monkeypatch, options, message):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    with pytest.raises(NnmtlError, match=message):
        main(["phantom", "-d", "901", *options, "--dry-run"])


@pytest.mark.parametrize("text", ["A", "A=x", "A=-1"])
def test_a_wrong_count_of_phantoms_is_named(tmp_path, monkeypatch, text):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    with pytest.raises(NnmtlError, match=f"--train: expected counts such as A=80,B=80.*{text}"):
        main(["phantom", "-d", "901", "--train", text])
