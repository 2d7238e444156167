"""Reads the voxels of slices, whatever their transfer syntax."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from nnmtl.dataset_conversion._dicom_slice import Slice
from nnmtl.errors import NnmtlError

Voxels = npt.NDArray[np.generic]

_LAYOUT_OF_PIXELS = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)

# Of a file that names none, by what its header is: implicit types or not, little endian or not.
_PLAIN_SYNTAXES: dict[tuple[bool | None, bool | None], UID] = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}


def read_volume(slices: Sequence[Slice]) -> Voxels:
    """The values of a phase, (Z, Y, X) in the order of the slices.

    Stored numbers keep their integer type; where a slice has a rescale slope or intercept, all
    become single precision.

    Raises:
        NnmtlError: if a file's voxels cannot be read; without telling its path.
    """
    frames_of: dict[Path, list[int]] = defaultdict(list)
    for index, item in enumerate(slices):
        frames_of[item.path].append(index)
    planes: list[Voxels | None] = [None] * len(slices)
    for path, indices in frames_of.items():
        frames = [slices[index].frame for index in indices]
        for index, stored in zip(indices, read_stored_frames(read_file(path), frames), strict=True):
            planes[index] = stored
    values = [_rescaled(plane, item) for plane, item in zip(planes, slices, strict=True)]
    return np.stack(values)


def read_stored_frames(file: Dataset, frames: Sequence[int]) -> list[Voxels]:
    """The stored numbers of some frames, (Y, X) each.

    pydicom reads what is stored plainly or in run lengths; GDCM, in SimpleITK, decodes JPEG of
    all kinds.

    Raises:
        NnmtlError: if they cannot be read; without telling the file's path.
    """
    with _without_path():
        _check_bits(file)
        syntax = file.file_meta.TransferSyntaxUID
        count = int(file.get("NumberOfFrames") or 1)
        if file.BitsAllocated == 1:  # frames may begin within a byte: unpacked together
            packed = file.pixel_array.reshape(count, file.Rows, file.Columns)
            return [packed[frame] for frame in frames]
        if not syntax.is_compressed or syntax == RLELossless:
            plain = iter_pixels(file, indices=list(frames), raw=True)
            return [frame.astype(frame.dtype.newbyteorder("="), copy=False) for frame in plain]
        encoded = list(generate_frames(file.PixelData, number_of_frames=count))
        return [_decode(file, encoded[frame]) for frame in frames]


def _check_bits(file: Dataset) -> None:
    """Numbers that begin above the lowest bit are of an old standard; they would come out wrong."""
    if "HighBit" in file and file.HighBit + 1 != file.BitsStored:
        raise NnmtlError(
            f"expected HighBit {file.BitsStored - 1} for {file.BitsStored} bits, got "
            f"{file.HighBit}; export the series again"
        )


def read_file(path: Path) -> Dataset:
    """A whole file, which knows its transfer syntax even if it does not tell it.

    Raises:
        NnmtlError: if it cannot be read; without telling its path.
    """
    with _without_path():
        file = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in file.file_meta:  # without preamble
            file.file_meta.TransferSyntaxUID = _PLAIN_SYNTAXES[file.original_encoding]
        return file


@contextmanager
def _without_path() -> Iterator[None]:
    try:
        yield
    except NnmtlError:
        raise
    except Exception as error:  # noqa: BLE001 - each codec raises its own, with the path in it
        raise NnmtlError(
            f"expected readable voxels, got a {type(error).__name__} from the decoder; export the "
            "series again"
        ) from None


def _rescaled(stored: Voxels | None, item: Slice) -> Voxels:
    assert stored is not None
    slope, intercept = item.rescale
    slope, intercept = 1 if slope is None else slope, intercept or 0
    if (slope, intercept) == (1, 0):
        return stored
    scaled: Voxels = (stored * slope + intercept).astype(np.float32)
    return scaled


def _decode(file: Dataset, encoded: bytes) -> Voxels:
    """Decodes one frame as a file of its own.

    It has no tag of rescaling, which GDCM would apply to some kinds of image and not to others.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = file.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        single = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        single.SOPClassUID = meta.MediaStorageSOPClassUID
        single.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        for keyword in _LAYOUT_OF_PIXELS:
            if keyword in file:
                setattr(single, keyword, file[keyword].value)
        single.PhotometricInterpretation = "MONOCHROME2"  # GDCM would invert the other one
        single.PixelData = encapsulate([encoded])
        single["PixelData"].VR = "OB"
        single.save_as(path, enforce_file_format=True)
        decoded: Voxels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
    return decoded
