"""Messages to the writer process: pickled, with large arrays sent as they lie in memory."""

import pickle
import struct
from typing import IO, Any

import numpy as np

_HEAD = struct.Struct("<QI")  # bytes of the pickle, number of large buffers
_SIZE = struct.Struct("<Q")
_LARGE = 1 << 15  # bytes; smaller arrays go inside the pickle


def send(pipe: IO[bytes], message: tuple[Any, ...]) -> None:
    """Write one message. Raises BrokenPipeError where nobody reads any more."""
    large: list[memoryview] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _LARGE:
            return True
        large.append(view)
        return False

    body = pickle.dumps(message, protocol=5, buffer_callback=inside)
    pipe.write(_HEAD.pack(len(body), len(large)))
    pipe.write(body)
    for view in large:
        pipe.write(_SIZE.pack(view.nbytes))
        pipe.write(view)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[Any, ...]:
    """Read one message. Raises EOFError where the sender is gone, also in the midst of a message.

    Only for pipes between a process and its own child: unpickling runs what the sender says.
    """
    size, count = _HEAD.unpack(_exactly(pipe, _HEAD.size))
    body = _exactly(pipe, size)
    buffers = [_exactly(pipe, _SIZE.unpack(_exactly(pipe, _SIZE.size))[0]) for _ in range(count)]
    message: tuple[Any, ...] = pickle.loads(body, buffers=buffers)
    return message


def _exactly(pipe: IO[bytes], size: int) -> memoryview:
    data = np.empty(size, np.uint8).data  # not bytearray: no need to zero what is overwritten
    got = 0
    while got < size:
        count = pipe.readinto(data[got:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        got += count
    return data
