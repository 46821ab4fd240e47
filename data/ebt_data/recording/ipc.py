"""Messages to the writer process: each is a file in memory that is passed on, so that none is lost with its sender.

A pipe holds less than a row of two cameras; the rest would wait in the recorder, and die with it. The kernel keeps a
file in transit between two processes even if the first one dies.

send(to, message, file)      receive(at) -> message      scratch() -> a file without a name
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


def send(to: socket.socket, message: tuple[Any, ...], file: IO[bytes]) -> None:
    """Send one message in `file`, which is overwritten and must not be reused until the message was received.

    Waits while a few hundred are queued, up to the socket's timeout. Raises ConnectionError where nobody is
    there.
    """
    large: list[memoryview] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _LARGE:
            return True
        large.append(view)
        return False

    body = pickle.dumps(message, protocol=5, buffer_callback=inside)
    head = _HEAD.pack(len(body), len(large)) + b"".join(_SIZE.pack(view.nbytes) for view in large)
    parts: list[bytes | memoryview] = [head, body, *large]
    place = 0  # set at each write, as both ends share the file position
    for part in parts:
        left = memoryview(part)
        while left:
            count = os.pwrite(file.fileno(), left, place)
            place, left = place + count, left[count:]
    socket.send_fds(to, [_MARK], [file.fileno()])


def receive(at: socket.socket) -> tuple[Any, ...]:
    """Receive one message. Raises EOFError where the sender is gone and all of its messages were received.

    Only between a process and its own child: unpickling executes what the sender sends.
    """
    mark, handles, _, _ = socket.recv_fds(at, len(_MARK), 1)
    if not mark:
        raise EOFError
    (handle,) = handles
    try:
        size, count = _HEAD.unpack(_read(handle, _HEAD.size, 0))
        place = _HEAD.size + count * _SIZE.size
        sizes = [length for (length,) in _SIZE.iter_unpack(_read(handle, count * _SIZE.size, _HEAD.size))]
        parts = []
        for length in (size, *sizes):
            parts.append(_read(handle, length, place))
            place += length
    finally:
        os.close(handle)
    message: tuple[Any, ...] = pickle.loads(parts[0], buffers=parts[1:])
    return message


def _read(handle: int, size: int, place: int) -> memoryview:
    data = np.empty(size, np.uint8).data  # not bytes: what is unpickled from it may be written to
    got = 0
    while got < size:
        got += os.preadv(handle, [data[got:]], place + got)
    return data
