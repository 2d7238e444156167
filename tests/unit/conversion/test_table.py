import json
import random
import zipfile

import numpy as np
import pytest
import SimpleITK

from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.raw_dataset import check_raw_dataset
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError


def dataset_json(folder):
    return json.loads((folder / "dataset.json").read_text())


def voxels(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def errors(folder):
    return [finding for finding in check_raw_dataset(folder) if finding.level == "error"]


def test_a_source_becomes_a_sound_dataset(source):
    folder = source.convert()
    content = dataset_json(folder)
    assert content["numTraining"] == 16
    assert content["file_ending"] == ".nii.gz"
    assert content["overwrite_image_reader_writer"] == "SimpleITKIOWithReorient"
    assert content["nnmtl"]["missing_channels"] == {"s03": [0]}
    assert len(list((folder / "imagesTr").iterdir())) == 32
    assert not errors(folder)
    assert [path.name for path in source.raw_folder.iterdir()] == [folder.name]


def test_values_are_mapped_scaled_and_left_empty(source):
    folder = source.convert()
    table = read_targets(folder / "targets.csv", parse_declaration(dataset_json(folder)))
    assert table.targets["IDH"].possible[:2].tolist() == [[True, False], [False, True]]
    assert table.targets["Ki67"].lower[:2].tolist() == [7, 20]
    assert table.targets["Ki67"].upper[:2].tolist() == [7, 30]
    assert table.targets["Ki67"].observed[:4].tolist() == [True, True, False, False]
    assert table.covariates["age"].tolist() == list(range(40, 56))


def test_images_are_linked_unless_copies_are_asked_for(source):
    image = "imagesTr/s00_0000.nii.gz"
    assert (source.convert() / image).resolve() == (source.folder / image).resolve()
    (source.raw_folder / "Dataset007_Glioma").rename(source.raw_folder / "Elsewhere")
    assert not (source.convert("--copy") / image).is_symlink()


def test_a_missing_channel_is_zero_on_the_grid_of_the_others(source):
    folder = source.convert()
    stand_in = SimpleITK.ReadImage(str(folder / "imagesTr/s03_0000.nii.gz"))
    assert not SimpleITK.GetArrayFromImage(stand_in).any()
    assert stand_in.GetSpacing() == (1.0, 1.0, 2.0)
    assert voxels(source.folder / "imagesTr/s03_0000.nii.gz").any()


def test_an_absent_image_is_a_missing_channel_only_if_allowed(source):
    (source.folder / "imagesTr/s05_0001.nii.gz").unlink()
    with pytest.raises(NnmtlError, match=r"'s05': expected the image .*s05_0001\.nii\.gz"):
        source.convert()
    source.mapping["absent_images_are_missing_channels"] = True
    assert dataset_json(source.convert())["nnmtl"]["missing_channels"]["s05"] == [1]


def test_a_case_without_mask_gets_a_map_of_ignore(source):
    (source.folder / "labelsTr/s05.nii.gz").unlink()
    folder = source.convert()
    assert dataset_json(folder)["labels"]["ignore"] == 2
    assert np.unique(voxels(folder / "labelsTr/s05.nii.gz")).tolist() == [2]
    assert not errors(folder)
    assert any("1 cases have no mask" in finding.message for finding in check_raw_dataset(folder))


def test_a_holdout_keeps_patients_together_and_repeats(source):
    source.mapping["holdout"] = {"fraction": 0.25, "seed": 3}
    folder = source.convert()
    test = {path.name[:3] for path in (folder / "imagesTs").iterdir()}
    assert test == {path.name[:3] for path in (folder / "labelsTs").iterdir()}
    assert 3 <= len(test) <= 5
    assert len({"s00", "s01"} & test) in (0, 2)
    assert dataset_json(folder)["numTraining"] == 16 - len(test)
    folder.rename(source.raw_folder / "Elsewhere")
    assert test == {path.name[:3] for path in (source.convert() / "imagesTs").iterdir()}


def test_order_of_rows_does_not_change_a_byte(source):
    first = (source.convert() / "targets.csv").read_bytes()
    (source.raw_folder / "Dataset007_Glioma").rename(source.raw_folder / "Elsewhere")
    random.Random(1).shuffle(source.rows)
    assert (source.convert() / "targets.csv").read_bytes() == first


def test_patterns_find_images_of_another_layout(source):
    for index in range(16):
        for name in ("pre", "post", "seg"):
            source.write_image(f"exams/s{index:02d}/{name}.nrrd", value=1)
    images = ["exams/{case}/pre.nrrd", "exams/{case}/post.nrrd"]
    source.mapping |= {"images": images, "mask": "exams/{case}/seg.nrrd"}
    folder = source.convert()
    assert dataset_json(folder)["file_ending"] == ".nrrd"
    assert not errors(folder)


def test_a_spreadsheet_gives_the_same_table_as_csv(source):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append([*source.rows[0], None, None, "further"])
    for row in source.rows:
        book.active.append([float(text) if text.isdigit() else text for text in row.values()])
    source.folder.mkdir(exist_ok=True)
    book.save(source.folder / "labels.xlsx")
    first = (source.convert() / "targets.csv").read_bytes()
    (source.raw_folder / "Dataset007_Glioma").rename(source.raw_folder / "Elsewhere")
    assert (source.convert(table="labels.xlsx") / "targets.csv").read_bytes() == first


def test_a_dry_run_checks_and_writes_nothing(source):
    source.convert("--dry-run")
    assert not source.raw_folder.exists()
    source.rows[2]["IDH status"] = "mutated"
    with pytest.raises(NnmtlError, match="row 4, column 'IDH status'"):
        source.convert("--dry-run")


def test_targets_alone_need_no_images(source):
    folder = source.convert("--targets-only", source=False)
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "targets.csv"]
    assert dataset_json(folder)["nnmtl"]["missing_channels"] == {"s03": [0]}


def test_one_center_needs_no_column(source):
    source.mapping["center"] = {"constant": "Here"}
    folder = source.convert()
    table = read_targets(folder / "targets.csv", parse_declaration(dataset_json(folder)))
    assert set(table.centers) == {"Here"}


def test_rows_without_image_are_refused_or_left_out(source):
    source.rows.append(source.rows[5] | {"Study": "s99"})
    with pytest.raises(NnmtlError, match=r"1 cases of the table have no image \(s99\)"):
        source.convert()
    folder = source.convert("--skip-absent")
    assert "s99" not in (folder / "targets.csv").read_text()


def test_images_without_row_are_left_out_and_told(source, caplog):
    removed = source.rows.pop()
    with caplog.at_level("WARNING"):
        folder = source.convert()
    assert f"the table does not name: {removed['Study']}" in caplog.text
    assert not list((folder / "imagesTr").glob(f"{removed['Study']}*"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": (4, 6, 9)}, r"not on one grid: the size is \(8, 6, 4\) .* \(9, 6, 4\)"),
        ({"spacing": (1.0, 1.0, 2.01)}, "not on one grid: the spacing in mm is"),
    ],
)
def test_files_of_a_case_must_lie_on_one_grid(source, changed, message):
    source.write_image("labelsTr/s04.nii.gz", value=1, **changed)
    with pytest.raises(NnmtlError, match=f"'s04': .*{message}"):
        source.convert()
    assert not source.raw_folder.exists()


def test_rounding_in_a_header_is_no_other_grid(source):
    source.write_image("labelsTr/s04.nii.gz", value=1, spacing=(1.0, 1.0, 2.000001))
    source.convert()


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("IDH status", "mut", "row 5, column 'IDH status'.*did you mean 'Mut'.*got 'mut'"),
        ("Ki67 fraction", "1.7", "row 5, column 'Ki67 fraction'.*within 0 to 100.*got '170'"),
        ("Ki67 fraction", "high", "row 5, column 'Ki67 fraction'.*got 'high'"),
        ("Age", "old", "row 5, column 'Age': expected a number.*got 'old'"),
        ("Site", "", "row 5, column 'Site': expected text"),
        ("Study", "s02", "row 5, column 'Study'.*row 4 has it"),
        ("Patient", "p09", "row 11, column 'Site'.*one center per patient.*'p09'"),
    ],
)
def test_a_wrong_cell_is_named_as_in_the_source(source, cell, value, message):
    source.rows[3][cell] = value
    with pytest.raises(NnmtlError, match=message):
        source.convert()


def test_an_absent_column_is_named_with_a_near_miss(source):
    source.mapping["case_id"] = "study"
    with pytest.raises(NnmtlError, match="column 'study' is missing; did you mean 'Study'"):
        source.convert()


@pytest.mark.parametrize("content", [b"", b"Study,Patient", b"PK\3\4 cut short"])
def test_a_damaged_spreadsheet_is_named(source, content):
    source.folder.joinpath("labels.xlsx").write_bytes(content)
    with pytest.raises(NnmtlError, match=r"labels\.xlsx: expected an \.xlsx file, .*save .* again"):
        source.convert(table="labels.xlsx")


def test_an_archive_of_something_else_is_no_spreadsheet(source):
    with zipfile.ZipFile(source.folder / "labels.xlsx", "w") as archive:
        archive.writestr("notes.txt", "Study,Patient")
    with pytest.raises(NnmtlError, match=r"labels\.xlsx: expected an \.xlsx file"):
        source.convert(table="labels.xlsx")


def test_a_quote_that_is_never_closed_is_told(source):
    text = 'Study,Patient\ns00,"p00\n' + "s01,p01\n" * 20_000
    source.folder.joinpath("open.csv").write_text(text)
    with pytest.raises(NnmtlError, match=r"open\.csv: .* quote that is never closed"):
        source.convert(table="open.csv")


def test_a_table_without_rows_is_named(source):
    source.folder.joinpath("empty.csv").write_text(",".join(source.rows[0]) + "\n")
    with pytest.raises(NnmtlError, match=r"empty\.csv: expected a row .* below the header"):
        source.convert(table="empty.csv")


def test_a_table_of_other_cases_is_told_with_what_was_sought_and_what_is_there(source):
    for row in source.rows:
        row["Study"] = f"UNKNOWN-{row['Study']}"
    with pytest.raises(
        NnmtlError, match=r"imagesTr/UNKNOWN-s00_0000\.nii\.gz, but no case .*there are s00, s01"
    ):
        source.convert("--skip-absent")


def test_stars_in_a_pattern_are_letters_like_others(source):
    source.mapping["images"] = ["imagesTr/**{case}_0000.nii.gz", "imagesTr/{case}_0001.nii.gz"]
    for row in source.rows:
        row["Study"] = f"UNKNOWN-{row['Study']}"
    with pytest.raises(NnmtlError, match=r"no case of the table .* there are no others"):
        source.convert()


def test_masks_that_no_case_has_are_told(source, caplog):
    source.mapping["mask"] = "masks/{case}.nii.gz"
    with caplog.at_level("WARNING"):
        source.convert()
    assert "no case has a mask, such as" in caplog.text
    assert "masks/s00.nii.gz" in caplog.text


def test_a_dry_run_refuses_the_geometry_that_a_run_would(source):
    source.mapping["geometry"] = {"spacing_mm": {"z": "Site"}, "shape": {}}
    with pytest.raises(NnmtlError, match="column 'Site': expected a number"):
        source.convert("--targets-only", "--dry-run")


def test_mixed_endings_are_refused(source):
    source.mapping["mask"] = "labelsTr/{case}.nrrd"
    for index in range(16):
        source.write_image(f"labelsTr/s{index:02d}.nrrd", value=1)
    with pytest.raises(NnmtlError, match=r"of one ending, got \.nii\.gz, \.nrrd"):
        source.convert()


def cut_short(path):
    content = path.read_bytes()
    path.write_bytes(content[:-20])


def test_an_image_that_is_cut_short_is_not_packed(source):
    for index in range(16):
        source.write_image(f"plain/s{index:02d}.nii")
    cut_short(source.folder / "plain/s05.nii")
    source.mapping["images"] = ["plain/{case}.nii", "imagesTr/{case}_0001.nii.gz"]
    with pytest.raises(NnmtlError, match=r"s05\.nii: the file ends before its last voxel"):
        source.convert()
    assert not list(source.raw_folder.iterdir())


def test_a_mask_that_is_cut_short_is_not_relabeled(source):
    for index in range(16):
        for name in ("imagesTr/{}_0000.nrrd", "imagesTr/{}_0001.nrrd", "labelsTr/{}.nrrd"):
            source.write_image(name.replace("{}", f"s{index:02d}"), value=1)
    cut_short(source.folder / "labelsTr/s05.nrrd")
    source.mapping |= {
        "images": ["imagesTr/{case}_0000.nrrd", "imagesTr/{case}_0001.nrrd"],
        "mask": "labelsTr/{case}.nrrd",
        "labels": {"background": 0, "edema": 1, "tumor": 2},
        "mask_values": {"1": 2},
    }
    with pytest.raises(NnmtlError, match=r"s05\.nrrd: expected a readable"):
        source.convert()
    assert not list(source.raw_folder.iterdir())


def test_a_failed_conversion_leaves_nothing_behind(source, monkeypatch):
    def fail(*args, **kwargs):
        raise NnmtlError("disk is full")

    monkeypatch.setattr("nnmtl.dataset_conversion.table.write_targets", fail)
    with pytest.raises(NnmtlError, match="disk is full"):
        source.convert()
    assert not list(source.raw_folder.iterdir())
