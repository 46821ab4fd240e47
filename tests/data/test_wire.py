import os
import signal
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from ebt_data import wire


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_messages_with_large_and_small_arrays_come_back(ends: tuple[socket.socket, socket.socket]) -> None:
    to, at = ends
    large, small = np.arange(100_000, dtype=np.int32), np.arange(6.0)
    wire.send(to, ("row", {"large": large, "small": small}))
    wire.send(to, ("end",))
    to.close()
    kind, arrays = wire.receive(at)
    assert kind == "row"
    np.testing.assert_array_equal(arrays["large"], large)
    np.testing.assert_array_equal(arrays["small"], small)
    arrays["large"][0] = 1  # it is the receiver's own
    assert wire.receive(at) == ("end",)
    with pytest.raises(EOFError):
        wire.receive(at)


def test_what_was_handed_over_outlives_a_sender_that_is_killed(ends: tuple[socket.socket, socket.socket]) -> None:
    to, at = ends
    sender = os.fork()
    if sender == 0:
        at.close()
        for number in range(60):  # a second and more of rows, 60 MB
            wire.send(to, (number, np.full(1 << 20, number, np.uint8)))
        os.kill(os.getpid(), signal.SIGKILL)
    to.close()
    assert os.waitpid(sender, 0)[1] == signal.SIGKILL
    for number in range(60):
        found, array = wire.receive(at)
        assert (found, array[0], array[-1]) == (number, number, number)
    with pytest.raises(EOFError):
        wire.receive(at)


def test_nobody_at_the_other_end_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    to, at = ends
    at.close()
    with pytest.raises(ConnectionError):
        wire.send(to, ("row",))
