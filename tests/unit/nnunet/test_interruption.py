import os
import signal

import pytest

from nnmtl.nnunet.interruption import SIGNALS, Interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_stops_only_where_asked(number):
    with Interruption() as interruption:
        interruption.stop_if_requested()
        os.kill(os.getpid(), number)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            interruption.stop_if_requested()


def test_handlers_are_put_back_even_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(KeyboardInterrupt), Interruption():
        raise KeyboardInterrupt
    assert [signal.getsignal(number) for number in SIGNALS] == before
