import os
import signal
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from ebt_data.recording import ipc


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_messages_with_large_and_small_arrays_come_back(ends: tuple[socket.socket, socket.socket]) -> None:
    to, at = ends
    large, small = np.arange(100_000, dtype=np.int32), np.arange(6.0)
    with ipc.temporary_file() as file:
        ipc.send(to, ("row", {"large": large, "small": small}), file)
    with ipc.temporary_file() as file:
        ipc.send(to, ("end",), file)
    to.close()
    kind, arrays = ipc.receive(at)
    assert kind == "row"
    np.testing.assert_array_equal(arrays["large"], large)
    np.testing.assert_array_equal(arrays["small"], small)
    arrays["large"][0] = 1  # it is the receiver's own
    assert ipc.receive(at) == ("end",)
    with pytest.raises(EOFError):
        ipc.receive(at)


def test_sent_messages_survive_a_killed_sender(ends: tuple[socket.socket, socket.socket]) -> None:
    to, at = ends
    sender = os.fork()
    if sender == 0:
        at.close()
        for number in range(60):  # a second and more of rows, 60 MB
            ipc.send(to, (number, np.full(1 << 20, number, np.uint8)), ipc.temporary_file())
        os.kill(os.getpid(), signal.SIGKILL)
    to.close()
    assert os.waitpid(sender, 0)[1] == signal.SIGKILL
    for number in range(60):
        found, array = ipc.receive(at)
        assert (found, array[0], array[-1]) == (number, number, number)
    with pytest.raises(EOFError):
        ipc.receive(at)


def test_a_missing_receiver_is_reported(ends: tuple[socket.socket, socket.socket]) -> None:
    to, at = ends
    at.close()
    with ipc.temporary_file() as file, pytest.raises(ConnectionError):
        ipc.send(to, ("row",), file)


def test_a_file_is_reused_for_the_next_message(ends: tuple[socket.socket, socket.socket]) -> None:
    to, at = ends
    with ipc.temporary_file() as file:
        for size in (200_000, 50_000, 10):  # shorter than what is left of the one before
            ipc.send(to, (size, np.arange(size)), file)
            found, array = ipc.receive(at)
            np.testing.assert_array_equal(array, np.arange(found))
