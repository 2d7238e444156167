import pytest

from nnmtl.dataset_conversion._dicom_words import (
    shown_description,
    shown_label,
    without_words,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("AX T1 VIBRANT +C 5 phases", "AX T1 VIBRANT +C 5 phases"),
        ("t1_fl3d_tra_dynaVIEWS_spair", "t1_fl3d_tra_***_spair"),
        ("Sagittal-IR_3DFGRE: PE1", "Sagittal-IR_3DFGRE: PE1"),
        ("ep2d_diff_b1000_ADC", "ep2d_diff_b1000_ADC"),
        ("Müller dyn 19510203", "*** dyn ***"),
        ("MRN4711 Dr.Jones", "*** ***.***"),
        ("", ""),
    ],
)
def test_only_words_of_protocols_are_shown(text, shown):
    assert shown_description(text, ()) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GTVp_left breast 2", "GTVp_left breast 2"),
        ("Index lesion (Dr. Jones)", "Index lesion (***. ***)"),
        ("enhancing-tumor MRN4711", "enhancing-tumor ***"),
        ("Müller", "***"),
    ],
)
def test_only_words_of_regions_are_shown_of_labels(text, shown):
    assert shown_label(text, ()) == shown


def test_a_name_is_hidden_even_where_it_is_a_word_of_protocols():
    assert shown_description("AX STAR dyn", words_of("STAR^JANE")) == "AX *** dyn"


def test_a_name_within_another_word_is_hidden():
    assert without_words("left lesion (doejane)", words_of("Doe^Jane")) == "left lesion (******)"


def test_words_that_collections_are_named_after_are_no_names():
    assert words_of("Breast-Cancer-MR_ANNA", "BR-06") == ("ANNA",)
