"""The converter of BIDS folders, on invented ones."""

import json
import logging

import pytest

from nnmtl.errors import NnmtlError

MAPPING = {
    "case_id": "participant_id",
    "patient_id": "participant_id",
    "center": "site",
    "channel_names": {"0": "T1", "1": "T1 post-contrast"},
    "labels": {"background": 0, "tumor": 1},
    "tumor_labels": [1],
    "images": ["anat/{case}_T1w.nii.gz", "anat/{case}_ce-gad_T1w.nii.gz"],
    "mask": "anat/{case}_label-tumor_mask.nii.gz",
    "biomarkers": [
        {"name": "IDH", "kind": "binary", "column": "idh", "values": {"wt": 0, "mut": 1}},
        {"name": "Ki67", "kind": "continuous", "unit": "%", "range": [0, 100], "column": "ki67"},
    ],
    "covariates": [{"name": "age", "column": "age"}],
}
COLUMNS = ("participant_id", "age", "site", "idh", "ki67")
ROWS = [("sub-01", "44", "A", "wt", "n/a"), ("sub-02", "n/a", "B", "mut", "20")]
IMAGES = ("_T1w", "_ce-gad_T1w")


@pytest.fixture
def bids(tree):
    tree.write_table("participants.tsv", COLUMNS, *ROWS)
    return tree


def add(tree, place, prefix, *, images=IMAGES, masks_at=None):
    """Images and mask; `place` is the folder of the subject or session."""
    tree.write_images(f"{place}/anat/{prefix}{{}}.nii.gz", *images)
    tree.write_mask(f"{masks_at or place}/anat/{prefix}_label-tumor_mask.nii.gz", 1)


def convert(tree, *options, mapping=MAPPING):
    (tree.folder / "mapping.json").write_text(json.dumps(mapping))
    return tree.convert("bids", "--mapping", tree.folder / "mapping.json", *options)


def linked(made, name):
    return (made.folder / name).resolve()


def test_subjects_without_sessions_are_cases(bids):
    for subject in ("sub-01", "sub-02"):
        add(bids, subject, subject)
    made = convert(bids)
    assert made.cells("IDH") == {"sub-01": "0", "sub-02": "1"}
    assert made.cells("Ki67") == {"sub-01": "", "sub-02": "20"}
    assert made.table.centers == ("A", "B")
    assert linked(made, "imagesTr/sub-02_0001.nii.gz").name == "sub-02_ce-gad_T1w.nii.gz"
    assert len(list((made.folder / "labelsTr").iterdir())) == 2


def test_a_single_session_needs_no_option(bids):
    add(bids, "sub-01/ses-pre", "sub-01_ses-pre")
    add(bids, "sub-02", "sub-02")
    table = convert(bids).table
    assert table.case_ids == ("sub-01_ses-pre", "sub-02")
    assert table.patient_ids == ("sub-01", "sub-02")


@pytest.mark.parametrize("name", ["post", "ses-post"])
def test_of_several_sessions_one_is_chosen(bids, name):
    for subject in ("sub-01", "sub-02"):
        for session in ("pre", "post"):
            add(bids, f"{subject}/ses-{session}", f"{subject}_ses-{session}")
    with pytest.raises(NnmtlError, match="sub-01: expected one session, got post, pre; choose"):
        convert(bids)
    made = convert(bids, "--session", name)
    assert made.table.case_ids == ("sub-01_ses-post", "sub-02_ses-post")
    assert linked(made, "imagesTr/sub-01_ses-post_0000.nii.gz").parts[-3] == "ses-post"


def test_a_subject_without_the_session_is_named_or_skipped(bids):
    add(bids, "sub-01/ses-pre", "sub-01_ses-pre")
    add(bids, "sub-02/ses-post", "sub-02_ses-post")
    with pytest.raises(NnmtlError, match=r"1 cases .* have no image \(sub-02_ses-pre\)"):
        convert(bids, "--session", "pre")
    assert convert(bids, "--session", "pre", "--skip-absent").table.case_ids == ("sub-01_ses-pre",)


def test_of_several_runs_one_is_chosen(bids):
    add(bids, "sub-01", "sub-01", images=("_run-1_T1w", "_run-02_T1w", "_ce-gad_T1w"))
    add(bids, "sub-02", "sub-02", images=("_run-2_T1w", "_ce-gad_T1w"))
    with pytest.raises(NnmtlError, match=r"sub-01_T1w.nii.gz: expected one run, got 2, 1; choose"):
        convert(bids)
    made = convert(bids, "--run", 2)
    assert linked(made, "imagesTr/sub-01_0000.nii.gz").name == "sub-01_run-02_T1w.nii.gz"
    assert linked(made, "imagesTr/sub-02_0000.nii.gz").name == "sub-02_run-2_T1w.nii.gz"
    assert linked(made, "imagesTr/sub-02_0001.nii.gz").name == "sub-02_ce-gad_T1w.nii.gz"


def test_images_and_masks_come_from_derivatives(bids):
    for subject in ("sub-01", "sub-02"):
        add(
            bids,
            f"derivatives/registered/{subject}",
            subject,
            masks_at=f"derivatives/outlines/{subject}",
        )
    made = convert(bids, "--images-from", "registered", "--masks-from", "outlines")
    assert "derivatives/registered" in linked(made, "imagesTr/sub-01_0000.nii.gz").as_posix()
    assert "derivatives/outlines" in linked(made, "labelsTr/sub-01.nii.gz").as_posix()


def test_derivatives_that_are_not_there_are_told_with_those_that_are(bids):
    add(bids, "derivatives/outlines/sub-01", "sub-01")
    with pytest.raises(NnmtlError, match="expected derivatives/outline, got outlines in"):
        convert(bids, "--masks-from", "outline")


def test_other_units_in_participants_json_are_told(bids, caplog):
    (bids.folder / "participants.json").write_text(json.dumps({"ki67": {"Units": "fraction"}}))
    with caplog.at_level(logging.WARNING):
        convert(bids, "--targets-only")
    assert "the unit of 'ki67' is 'fraction', but '%' in the mapping" in caplog.text


def test_a_misspelled_column_is_suggested(bids):
    bids.write_table("participants.tsv", ("participant_id", "age", "site", "IDH1", "ki67"), *ROWS)
    with pytest.raises(NnmtlError, match=r"'idh' is missing; did you mean 'IDH1'?"):
        convert(bids, "--targets-only")


def test_a_participant_without_the_prefix_is_refused(bids):
    bids.write_table("participants.tsv", COLUMNS, ("01", *ROWS[0][1:]))
    with pytest.raises(NnmtlError, match=r"row 2, column 'participant_id': expected sub- .* '01'"):
        convert(bids, "--targets-only")


def test_a_mapping_without_patterns_is_refused(bids):
    mapping = {key: value for key, value in MAPPING.items() if key != "mask"}
    with pytest.raises(NnmtlError, match="expected the keys 'images' and 'mask'"):
        convert(bids, "--targets-only", mapping=mapping)


def test_commas_between_columns_are_told(bids):
    table = bids.folder / "participants.tsv"
    table.write_text(table.read_text().replace("\t", ","))
    with pytest.raises(NnmtlError, match=r"separated by tabs, got 'participant_id,age,"):
        convert(bids)
