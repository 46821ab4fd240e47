"""Sends messages to the writer process, each as an in-memory file, so that none is lost if the sender dies.

A pipe buffers less than a row of two cameras; the rest would be lost with the recorder. The kernel keeps a file in
transit between two processes even if the sender dies.

send(to, message, file)      receive(at) -> message      temporary_file() -> an unnamed file
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
_LARGE = 1 << 15  # bytes; smaller arrays are part of the pickle
_MARK = b"m"
"""Sent through the socket with each descriptor, as `send_fds` needs at least one byte."""


def temporary_file() -> IO[bytes]:
    """An unnamed file, in memory if the system supports it (memfd), so that no temporary folder is needed."""
    return os.fdopen(os.memfd_create("ebt"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


def send(to: socket.socket, message: tuple[Any, ...], file: IO[bytes]) -> None:
    """Send one message in `file`, which is overwritten and must not be reused until the message was received.

    Waits while a few hundred are queued, up to the socket's timeout. Raises ConnectionError if the receiver is gone.
    """
    large: list[memoryview] = []

    def in_pickle(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _LARGE:
            return True
        large.append(view)
        return False

    body = pickle.dumps(message, protocol=5, buffer_callback=in_pickle)
    head = _HEAD.pack(len(body), len(large)) + b"".join(_SIZE.pack(view.nbytes) for view in large)
    parts: list[bytes | memoryview] = [head, body, *large]
    offset = 0  # set at each write, as both ends share the file position
    for part in parts:
        left = memoryview(part)
        while left:
            count = os.pwrite(file.fileno(), left, offset)
            offset, left = offset + count, left[count:]
    socket.send_fds(to, [_MARK], [file.fileno()])


def receive(at: socket.socket) -> tuple[Any, ...]:
    """Receive one message. Raises EOFError if the sender is gone and all of its messages were received.

    Use only between a process and its child: unpickling can execute code of the sender.
    """
    mark, handles, _, _ = socket.recv_fds(at, len(_MARK), 1)
    if not mark:
        raise EOFError
    (handle,) = handles
    try:
        size, count = _HEAD.unpack(_read(handle, _HEAD.size, 0))
        offset = _HEAD.size + count * _SIZE.size
        sizes = [length for (length,) in _SIZE.iter_unpack(_read(handle, count * _SIZE.size, _HEAD.size))]
        parts = []
        for length in (size, *sizes):
            parts.append(_read(handle, length, offset))
            offset += length
    finally:
        os.close(handle)
    message: tuple[Any, ...] = pickle.loads(parts[0], buffers=parts[1:])
    return message


def _read(handle: int, size: int, offset: int) -> memoryview:
    data = np.empty(size, np.uint8).data  # not bytes, as unpickled arrays must be writable
    got = 0
    while got < size:
        got += os.preadv(handle, [data[got:]], offset + got)
    return data
