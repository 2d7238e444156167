import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nnmtl.cohort.clinical_rules import ki67_interval, receptor_status
from nnmtl.cohort.clinical_text import NotObserved, NotUnderstood
from nnmtl.cohort.her2_rules import her2_categories, her2_status

# Any text, and texts of the pieces that laboratories write.
PIECES = ["<", ">", "=", "≥", "~", "-", "–", "+", "%", ",", ".", " ", "/", "(", "0", "1", "9", "30"]
PIECES += ["100", "pos", "neg", "2+", "3+", "FISH", "ER", "HER2", "Ki-67", "to", "low", "between"]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))


@pytest.mark.parametrize("text", ["1", "1 %", "1.0", ">90%", "≥ 1%", "1-10", "1–10 %", "5 to 10 %"])
@pytest.mark.parametrize("status", ["", "pos ", "positive, "])
def test_a_receptor_is_positive_from_1_percent_on(text, status):
    assert receptor_status(status + text) is True


@pytest.mark.parametrize("text", ["0", "0.0", "<1 %", "< 1", "0,5 %", ".9%", "less than 1 %"])
@pytest.mark.parametrize("status", ["", "neg ", "negative: "])
def test_a_receptor_is_negative_below_1_percent(text, status):
    assert receptor_status(status + text) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("positive", True),
        ("Pos.", True),
        ("pos (3+)", True),
        ("ER+", True),
        ("PR: strong staining in 80 % of nuclei", True),
        ("low positive (5 %)", True),
        ("++", True),
        ("negative", False),
        ("NEG", False),
        ("ER-", False),
        ("PgR −", False),
    ],
)
def test_a_status_in_words_or_signs_is_taken(text, expected):
    assert receptor_status(text) is expected


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "unknown", "not done", "?"])
def test_what_says_nothing_is_not_observed_without_reason(text):
    assert receptor_status(text) == ki67_interval(text) == her2_status(text) == NotObserved("")


@pytest.mark.parametrize("text", ["<10", "0-1", "0-100", "borderline", "<= 1 %"])
def test_what_lies_on_both_sides_of_the_cutoff_is_not_observed(text):
    status = receptor_status(text)
    assert isinstance(status, NotObserved)
    assert status.reason


def test_a_laboratory_may_have_its_cutoff_at_10_percent():
    assert receptor_status("5 %") is True
    assert receptor_status("5 %", cutoff_percent=10) is False
    assert receptor_status("<10", cutoff_percent=10) is False
    assert receptor_status("10", cutoff_percent=10) is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("postive", "did you mean 'positive'"),
        ("negative (5 %)", "positive and negative at once"),
        ("0.9", "may be a fraction"),
        ("101 %", "above 100"),
        ("-", "negative or not done"),
        ("90-80 %", "lower end"),
        ("10 % and 90 %", "not known"),
        ("10 %, 90 %", "more than one percentage"),
        ("2026-10-01 00:00:00", "a date"),
        ("10-Jan", "a date"),
        ("8/8", "a sign that is not known"),
        ("low", "neither a status nor a percentage"),
    ],
)
def test_what_is_not_understood_has_its_reason(text, reason):
    status = receptor_status(text)
    assert isinstance(status, NotUnderstood)
    assert reason in status.reason


@pytest.mark.parametrize(
    ("own", "hormone_receptor", "expected"),
    [
        ("", "0", False),
        ("", "negative", False),
        ("1", "1", True),
        ("0", "1", False),
        ("0", "0", False),
        ("0", "", False),
    ],
)
def test_negative_hormone_receptors_make_both_negative(own, hormone_receptor, expected):
    assert receptor_status(own, hormone_receptor=hormone_receptor) is expected


def test_positive_hormone_receptors_leave_open_which_one_is():
    assert isinstance(receptor_status("", hormone_receptor="1"), NotObserved)


def test_a_receptor_that_contradicts_both_together_is_not_understood():
    assert isinstance(receptor_status("90 %", hormone_receptor="neg"), NotUnderstood)


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("20-30 %", (20, 30)),
        ("20 – 30", (20, 30)),
        ("20%-30%", (20, 30)),
        ("between 20 and 30 %", (20, 30)),
        ("20 to 30", (20, 30)),
        ("<5%", (0, 5)),
        ("≤ 5 %", (0, 5)),
        ("up to 10%", (0, 10)),
        (">=30", (30, 100)),
        (">90", (90, 100)),
        ("~15", (15, 15)),
        ("ca. 15 %", (15, 15)),
        ("15 %", (15, 15)),
        ("15 percent", (15, 15)),
        ("12,5", (12.5, 12.5)),
        ("12.5 %", (12.5, 12.5)),
        ("Ki-67: 20 %", (20, 20)),
        ("ki67 >30%", (30, 100)),
        ("MIB-1 index 20", (20, 20)),
        ("high (40 %)", (40, 40)),
        ("0,5 %", (0.5, 0.5)),
    ],
)
def test_ki67_is_read_as_an_interval(text, interval):
    assert ki67_interval(text) == interval


@pytest.mark.parametrize(
    "text", ["high", "low", "0.2", "120", "-5", "30-20", "20; 30", "2+", "1.2.2020", "x", "1e1"]
)
def test_ki67_without_one_clear_percentage_is_not_understood(text):
    assert isinstance(ki67_interval(text), NotUnderstood)


@given(texts)
@example("9" * 400)
@example("<" + "0" * 400)
def test_no_text_crashes_and_ki67_stays_within_0_to_100(text):
    interval = ki67_interval(text)
    if isinstance(interval, tuple):
        assert 0 <= interval[0] <= interval[1] <= 100
    for status in (receptor_status(text), receptor_status("", hormone_receptor=text)):
        assert isinstance(status, bool | NotObserved | NotUnderstood)


@given(texts, texts, texts, texts)
def test_no_texts_about_her2_crash_and_status_agrees_with_category(ihc, ish, ratio, copies):
    status = her2_status(ihc, ish, ratio=ratio, copies=copies)
    categories = her2_categories(ihc, ish, ratio=ratio, copies=copies)
    if isinstance(categories, frozenset):
        assert categories in ({"positive"}, {"zero"}, {"low"}, {"zero", "low"})
        assert status is (categories == {"positive"})
    else:
        assert status == categories


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_every_interval_is_read_back(first, second):
    lower, upper = sorted((first / 10, second / 10))
    assert ki67_interval(f"{lower}-{upper} %") == (lower, upper)


@given(st.integers(0, 1000), st.sampled_from([1, 10]))
def test_a_percentage_is_compared_with_the_cutoff(tenths, cutoff_percent):
    status = receptor_status(f"{tenths / 10} %", cutoff_percent=cutoff_percent)
    assert status is (tenths >= 10 * cutoff_percent)


@pytest.mark.parametrize("read", [receptor_status, ki67_interval, her2_status])
def test_a_reason_never_repeats_the_text(read):
    reason = read("Mrs Quxley, born 3.4.1951").reason
    assert reason
    assert not [part for part in ("uxley", "born", "1951") if part in reason]
