import io

import numpy as np
import pytest

from ebt_data import wire


def test_messages_with_large_and_small_arrays_come_back() -> None:
    pipe = io.BytesIO()
    large, small = np.arange(100_000, dtype=np.int32), np.arange(6.0)
    wire.send(pipe, ("row", {"large": large, "small": small}))
    wire.send(pipe, ("end",))
    pipe.seek(0)
    kind, arrays = wire.receive(pipe)
    assert kind == "row"
    np.testing.assert_array_equal(arrays["large"], large)
    np.testing.assert_array_equal(arrays["small"], small)
    assert wire.receive(pipe) == ("end",)
    with pytest.raises(EOFError):
        wire.receive(pipe)


def test_a_message_cut_off_in_its_midst_is_an_end() -> None:
    pipe = io.BytesIO()
    wire.send(pipe, ("row", np.zeros(100_000)))
    with pytest.raises(EOFError):
        wire.receive(io.BytesIO(pipe.getvalue()[:-1]))
