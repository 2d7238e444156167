import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnmtl.cohort.clinical_text import NotObserved, NotUnderstood
from nnmtl.cohort.survival_rule import survival_time


@given(st.integers(0, 10_000), st.sampled_from(["dead", "Deceased", "died"]))
def test_the_time_of_an_observed_death_is_the_number(days, status):
    assert survival_time(str(days), status=status) == days
    assert survival_time(f"{days}.0") == days


@pytest.mark.parametrize(
    ("time", "status"),
    [
        ("400", "alive"),
        ("400", "Lost to Follow-up"),
        ("ALIVE (400 days later)", None),
        ("", "Alive"),
    ],
)
def test_a_patient_who_was_alive_when_last_seen_is_not_observed_and_reported(time, status):
    reading = survival_time(time, status=status)
    assert isinstance(reading, NotObserved)
    assert "alive when last seen" in reading.reason


@pytest.mark.parametrize(("time", "status"), [("", "dead"), ("NA", None), ("400", ""), ("", "")])
def test_nothing_said_is_not_observed_without_a_reason(time, status):
    assert survival_time(time, status=status) == NotObserved()


@pytest.mark.parametrize(
    ("time", "status"),
    [("400", "deceased - uncertain date of death"), ("a year", "dead"), ("-3", None)],
)
def test_what_is_neither_is_not_understood_and_not_repeated(time, status):
    reading = survival_time(time, status=status)
    assert isinstance(reading, NotUnderstood)
    assert time not in reading.reason
