"""No identifier of a file, planted in every attribute that may hold one, comes out anywhere."""

import gzip
import logging
import shutil
import struct
import warnings
from itertools import count
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from matplotlib.figure import Figure
from matplotlib.text import Text
from pydicom.datadict import dictionary_keyword, dictionary_VR
from pydicom.sequence import Sequence

from nnmtl.cli.command import run
from nnmtl.cli.convert import main

TABLE = Path(__file__).parent / "ps3_15_table_e_1_1.txt"
# What phases and examinations are told apart by: dates and times, whose values are planted by
# themselves, because a text in their place would be refused before anything is written.
NEEDED = {
    *("00080020", "00080021", "00080022", "00080023", "0008002A"),
    *("00080030", "00080031", "00080032", "00080033"),
}
UIDS = {"0020000D", "0020000E", "00200052"}  # an examination has its own, which are searched for
TEXTS = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}


def identifying_tags():
    """The table's tags, those of repeating groups once, that pydicom's dictionary knows."""
    lines = TABLE.read_text().splitlines()
    tags = [line.replace("X", "0") for line in lines if line and not line.startswith("#")]
    known = {}
    for tag in tags:
        number = int(tag, 16)
        if dictionary_keyword_or_none(number) and number >> 16 > 2:
            known[tag] = dictionary_VR(number).split(" ")[0]
    return known


def dictionary_keyword_or_none(tag):
    try:
        return dictionary_keyword(tag)
    except KeyError:
        return None


class Plants:
    """Makes values that stand nowhere else, and remembers them."""

    def __init__(self):
        self.texts, self.attributes, self.numbers = set(), set(), count(1)
        self.exams = []  # each with its folder and the data set of plants

    def value(self, vr):
        number = next(self.numbers)
        if vr in TEXTS or vr == "UN":
            text = f"QZ{number:05d}X"
        elif vr == "DA":
            text = f"1{number % 1000:03d}{number // 1000 % 9 + 1:02d}17"
        elif vr == "TM":
            text = f"07{number % 60:02d}{number // 60 % 60:02d}.{765000 + number}"
        elif vr == "DT":
            text = f"1{number % 1000:03d}0917112233.{765000 + number}"
        elif vr == "UI":
            text = f"1.2.826.77{number:05d}"
        elif vr in ("OB", "OW", "OF", "OD"):
            text = f"QZ{number:05d}X "
        elif vr in ("DS", "IS"):
            text = f"77{number:05d}"
        else:
            return None  # numbers in few bytes are no identifiers that could be searched for
        self.texts.add(text.strip())
        return text.encode() if vr in ("OB", "OW", "OF", "OD", "UN") else text

    def plant(self, file, tags):
        """Puts a value into every attribute; a sequence gets one item with a name in it."""
        for tag, vr in tags.items():
            if tag in NEEDED | UIDS:
                continue
            if vr == "SQ":
                inner = pydicom.Dataset()
                inner.add_new("PersonName", "PN", self.value("PN"))
                inner.add_new("CodeMeaning", "LO", self.value("LO"))
                file.add_new(int(tag, 16), vr, Sequence([inner]))
            elif (value := self.value(vr)) is not None:
                file.add_new(int(tag, 16), vr, value)
            else:
                continue
            self.attributes.add(tag)
        block = file.private_block(0x0029, self.value("LO"), create=True)
        block.add_new(0x10, "LO", self.value("LO"))
        block.add_new(0x11, "PN", self.value("PN"))

    def save(self, file, patient, **own):
        """Writes a file into a patient's folder, full of plants but for its own values."""
        _, folder, shared = self.exams[patient]
        uid = file.SOPInstanceUID
        file.update(shared)
        file.StudyDate = file.SeriesDate = file.AcquisitionDate = "19310517"
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = uid
        for keyword, value in own.items():
            setattr(file, keyword, value)
        self.texts |= {uid, file.SeriesInstanceUID}
        file.save_as(folder / self.value("SH"), enforce_file_format=True)


@pytest.fixture
def planted(dicom, tmp_path, monkeypatch):
    """Files of two patients full of unique texts, in folders of their names; the plants."""
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.WARN)
    plants, tags = Plants(), identifying_tags()
    for patient in range(2):
        exam = dicom.default_exam(phases=2, shape=(3, 5, 6), series_number=patient + 3)
        plants.texts |= {exam.study_uid, exam.frame_of_reference, *exam.series_uids}
        folder = tmp_path / "source" / plants.value("PN")
        folder.mkdir(parents=True)
        shared = pydicom.Dataset()
        plants.plant(shared, tags)
        shared.SeriesDescription = f"AX {str(shared.PatientName).lower()} T1 {plants.value('LO')}"
        plants.exams.append((exam, folder, shared))
        for file in exam.files():
            plants.save(file, patient)
    plants.texts |= {"19310517", "1931"}
    assert plants.attributes >= set(tags) - NEEDED - UIDS - not_searchable(tags)
    return plants


def not_searchable(tags):
    return {tag for tag, vr in tags.items() if vr in ("FD", "FL", "US", "UL", "SS", "SL", "AT")}


def leaks(plants, tmp_path, told):
    """The planted texts that stand in a file, its name, or in what was told."""
    found = [told]
    for path in (tmp_path / "raw").rglob("*"):
        found.append(path.name)
        if path.is_file():
            content = path.read_bytes()
            content = gzip.decompress(content) if path.suffix == ".gz" else content
            found.append(content.decode("latin-1"))
    text = "\n".join(found).replace(str(tmp_path), "").lower()
    return sorted(plant for plant in plants.texts if plant.lower() in text)


def tell(tmp_path, capfd, caplog, *options):
    """Everything that the command tells, as its user sees it, errors and their chains too."""
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    capfd.readouterr()
    warnings.simplefilter("always")
    with warnings.catch_warnings(record=True) as warned, pytest.raises(SystemExit) as ended:
        run(lambda: main(["dicom", str(tmp_path / "source"), "-d", "7", *options]))
    told = [*capfd.readouterr(), caplog.text, *(str(warning.message) for warning in warned)]
    return ended.value.code, "\n".join(told)


@pytest.fixture(autouse=True)
def _raw_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))


def test_the_table_is_the_standards():
    """Some 600 attributes, of which the dictionary must know nearly all."""
    tags = identifying_tags()
    assert len(tags) > 550
    assert {"00100010", "00100020", "00100030", "00080050", "0020000D", "0008103E"} <= tags.keys()


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--phase", "all", "--with", "pe"]])
def test_a_conversion_tells_no_identifier(planted, tmp_path, capfd, caplog, options):
    code, told = tell(tmp_path, capfd, caplog, *options)
    assert code == 0, told
    assert "AX *** T1 ***" in told
    assert leaks(planted, tmp_path, told) == []
    assert bool(list((tmp_path / "raw").glob("*/imagesTr/*"))) == ("--dry-run" not in options)


def files_of(tmp_path):
    return sorted(path for path in (tmp_path / "source").rglob("*") if path.is_file())


def change(path, **values):
    file = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            del file[keyword]
        else:
            setattr(file, keyword, value)
    file.save_as(path)


def cut(paths, _):
    paths[5].write_bytes(paths[5].read_bytes()[:900])


def remove(paths, _):
    paths[5].unlink()


def without_series(paths, _):
    change(paths[5], SeriesInstanceUID=None)


def of_another(paths, plants):
    change(paths[5], PatientID=plants.value("LO"))


def turn(paths, _):
    change(paths[5], ImageOrientationPatient=[0, 1, 0, 0, 0, 1])


def lose_voxels(paths, _):
    for path in paths:
        change(path, PixelData=b"\0\0")


def nonsense_numbers(paths, plants):
    """A text where a number should stand, which pydicom would quote."""
    for path in paths:
        file = pydicom.dcmread(path)
        for keyword in ("Rows", "EchoTime", "SeriesNumber", "TemporalPositionIdentifier"):
            file.add_new(keyword, "LO", plants.value("LO"))
        file.save_as(path)


@pytest.mark.parametrize(
    "damage", [cut, remove, without_series, of_another, turn, lose_voxels, nonsense_numbers]
)
def test_a_refusal_tells_no_identifier(planted, tmp_path, capfd, caplog, damage):
    damage(files_of(tmp_path), planted)
    code, told = tell(tmp_path, capfd, caplog)
    assert code == 2, told
    assert leaks(planted, tmp_path, told) == []
    code, told = tell(tmp_path, capfd, caplog, "--skip-refused")
    assert leaks(planted, tmp_path, told) == []


def test_values_that_pydicom_doubts_are_not_quoted(planted, tmp_path, capfd, caplog, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "_writing_validation_mode", pydicom.config.IGNORE)
    uid = f"1.2.{planted.value('LO')}"
    for path in files_of(tmp_path):
        file = pydicom.dcmread(path)
        if file.SeriesNumber == 3:
            file.StudyInstanceUID = uid
            file.save_as(path)
    with pytest.warns(UserWarning, match=f"Invalid value for VR UI: '{uid}'"):
        str([pydicom.dcmread(path).get("StudyInstanceUID") for path in files_of(tmp_path)])
    code, told = tell(tmp_path, capfd, caplog)
    assert code == 0, told
    assert leaks(planted, tmp_path, told) == []


def test_kept_ids_are_the_only_identifiers_told(planted, tmp_path, capfd, caplog):
    _, told = tell(tmp_path, capfd, caplog, "--keep-ids")
    ids = {str(pydicom.dcmread(path).PatientID) for path in files_of(tmp_path)}
    assert set(leaks(planted, tmp_path, told)) == ids


def test_the_key_is_the_only_file_with_identifiers(planted, tmp_path, capfd, caplog):
    code, told = tell(tmp_path, capfd, caplog, "--key", str(tmp_path / "key.csv"))
    assert code == 0
    assert leaks(planted, tmp_path, told) == []
    assert "19310517" in (tmp_path / "key.csv").read_text()


REGIONS = ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence")


def add_regions(dicom, plants, kind="CLOSED_PLANAR"):
    """A structure set of each patient, whose region is named after somebody else."""
    for patient, (exam, _, _) in enumerate(plants.exams):
        corners = [(0.5, 0.5), (3.5, 0.5), (3.5, 3.5), (0.5, 3.5)]
        contours = [dicom.contour(exam.affine, corners, z, kind) for z in range(3)]
        file = dicom.structure_set(exam, {f"GTV_{plants.value('LO')}^left": contours})
        regions = {keyword: file[keyword].value for keyword in REGIONS}
        uid = {"SeriesInstanceUID": file.SeriesInstanceUID}
        for keyword in ("PatientName", "PatientID"):  # as many programs leave them
            regions[keyword] = str(plants.exams[patient][2].PatientID)
        plants.save(file, patient, SeriesDescription="RTSTRUCT", **uid, **regions)


def test_regions_are_named_by_known_words_only(planted, dicom, tmp_path, capfd, caplog):
    add_regions(dicom, planted)
    code, told = tell(tmp_path, capfd, caplog, "--tumor", "nothing")
    assert code == 2
    assert "segments are GTV_***^left; name" in told
    assert leaks(planted, tmp_path, told) == []
    code, told = tell(tmp_path, capfd, caplog)
    assert code == 0, told
    assert told.count("tumor: GTV_***^left") == 2
    assert leaks(planted, tmp_path, told) == []


def test_a_refused_region_tells_no_identifier(planted, dicom, tmp_path, capfd, caplog):
    add_regions(dicom, planted, kind=planted.value("CS"))
    code, told = tell(tmp_path, capfd, caplog)
    assert code == 2
    assert "got no known type" in told
    assert leaks(planted, tmp_path, told) == []


def add_masks(plants):
    """A mask of each patient, in a folder and under a name that tell who it is; the pattern."""
    parent = plants.exams[0][1].parent / plants.value("LO")
    parent.mkdir()
    for exam, _, shared in plants.exams:
        mask = np.zeros(exam.voxels.shape[1:], np.uint8)
        mask[1, 2:4, 2:5] = 1
        image = SimpleITK.GetImageFromArray(mask)
        image.SetSpacing(exam.spacing)
        image.SetOrigin(exam.origin)
        name = f"{shared.PatientID}_{plants.value('LO')}.nii.gz"
        SimpleITK.WriteImage(image, str(parent / name))
    return parent, f"{parent}/{{patient}}_*.nii.gz"


def test_masks_beside_tell_no_identifier(planted, tmp_path, capfd, caplog):
    _, pattern = add_masks(planted)
    code, told = tell(tmp_path, capfd, caplog, "--masks", pattern)
    assert code == 0, told
    assert "tumor: 1" in told
    assert leaks(planted, tmp_path, told) == []


def contradict(path):
    """Writes two scales into a header, of which the reader warns by the name of the file."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<4f", content, 280, -9, 0, 0, 50)
    path.write_bytes(gzip.compress(bytes(content)))


def cut_mask(path):
    path.write_bytes(path.read_bytes()[:40])


def put_folder(path):
    path.unlink()
    path.mkdir()


def store_decimals(path):
    image = SimpleITK.Cast(SimpleITK.ReadImage(str(path)), SimpleITK.sitkFloat32)
    SimpleITK.WriteImage(image + 0.5, str(path))


@pytest.mark.parametrize("damage", [contradict, cut_mask, put_folder, store_decimals])
def test_an_unfit_mask_tells_no_identifier(planted, tmp_path, capfd, caplog, damage):
    parent, pattern = add_masks(planted)
    for path in parent.iterdir():
        damage(path)
    code, told = tell(tmp_path, capfd, caplog, "--masks", pattern)
    assert code == (0 if damage is contradict else 2)
    assert leaks(planted, tmp_path, told) == []


@pytest.mark.parametrize("ending", ["{patient}_none.nii.gz", "*_*.nii.gz", "{case}.nii.gz"])
def test_a_pattern_is_not_quoted(planted, tmp_path, capfd, caplog, ending):
    parent, _ = add_masks(planted)
    code, told = tell(tmp_path, capfd, caplog, "--masks", f"{parent}/{ending}")
    assert code == 2
    assert "--masks: expected" in told
    assert leaks(planted, tmp_path, told) == []


@pytest.mark.parametrize("options", [[], ["--register", "--n4"]])
def test_sequences_and_their_pictures_tell_no_identifier(
    planted, dicom, tmp_path, capfd, caplog, monkeypatch, options
):
    """Also what is drawn into pictures, which cannot be searched for it afterwards."""
    drawn = []

    def savefig(figure, *given, **named):
        drawn.extend(text.get_text() for text in figure.findobj(Text))
        return original(figure, *given, **named | {"dpi": 10})  # small, so that it is quick

    original = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", savefig)
    (exam, _, shared), (_, other_folder, _) = planted.exams
    shutil.rmtree(other_folder)
    uids = {"study_uid": exam.study_uid, "frame_of_reference": exam.frame_of_reference}
    other = dicom.default_exam(phases=1, shape=(4, 5, 6), spacing=(0.8, 0.9, 1.5), **uids)
    text = f"AX T2 {shared.PatientName} {planted.value('LO')}"
    for file in other.files():
        planted.save(file, 0, SeriesDescription=text, SeriesNumber=8, EchoTime=90)
    code, told = tell(tmp_path, capfd, caplog, "--sequence", "T2=T2", *options)
    assert code == 0, told
    assert "AX T2 ***" in told
    assert "channel T2" in told
    assert list((tmp_path / "raw").rglob("image_steps/*.png"))
    assert list((tmp_path / "raw").rglob("image_steps.csv"))
    assert any("T2" in text for text in drawn)
    assert leaks(planted, tmp_path, "\n".join([told, *drawn])) == []
