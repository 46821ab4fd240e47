"""Messages to the writer process: each is a file in memory that is handed over, so that none is lost with its sender.

A pipe would hold less than a row of two cameras; the rest waited in the recorder, and died with it. The kernel keeps a
file that is under way between two processes whatever becomes of the first.

send(to, message)      receive(at) -> message      scratch() -> a file without a name
"""

import os
import pickle
import socket
import struct
import tempfile
from typing import IO, Any

import numpy as np

_HEAD = struct.Struct("<QI")  # bytes of the pickle, number of large buffers
_SIZE = struct.Struct("<Q")
_LARGE = 1 << 15  # bytes; smaller arrays go inside the pickle
_MARK = b"m"
"""What goes through the socket itself: a file needs a byte to go with."""


def scratch() -> IO[bytes]:
    """A file without a name: in memory where the system has that, so that no temporary folder is needed."""
    return os.fdopen(os.memfd_create("ebt"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


def send(to: socket.socket, message: tuple[Any, ...]) -> None:
    """Hand one message over; waits while a few hundred are under way. Raises ConnectionError where nobody is there."""
    large: list[memoryview] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _LARGE:
            return True
        large.append(view)
        return False

    body = pickle.dumps(message, protocol=5, buffer_callback=inside)
    with scratch() as file:
        file.write(_HEAD.pack(len(body), len(large)))
        file.write(body)
        for view in large:
            file.write(_SIZE.pack(view.nbytes))
            file.write(view)
        file.flush()
        socket.send_fds(to, [_MARK], [file.fileno()])


def receive(at: socket.socket) -> tuple[Any, ...]:
    """Take one message. Raises EOFError where the sender is gone and all of its messages were taken.

    Only between a process and its own child: unpickling runs what the sender says.
    """
    mark, handles, _, _ = socket.recv_fds(at, len(_MARK), 1)
    if not mark:
        raise EOFError
    with os.fdopen(handles[0], "rb") as file:
        file.seek(0)
        size, count = _HEAD.unpack(file.read(_HEAD.size))
        body = file.read(size)
        buffers = [_array(file, _SIZE.unpack(file.read(_SIZE.size))[0]) for _ in range(count)]
    message: tuple[Any, ...] = pickle.loads(body, buffers=buffers)
    return message


def _array(file: IO[bytes], size: int) -> memoryview:
    data = np.empty(size, np.uint8).data  # not bytes: what is unpickled from it may be written to
    file.readinto(data)  # type: ignore[attr-defined]
    return data
