"""Marks functions during which stop signals are deferred, as an interruption would leave an inconsistent state."""

from collections.abc import Callable
from types import CodeType, FrameType
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

_UNINTERRUPTIBLE: set[CodeType] = set()


def defer_signals(function: Function) -> Function:
    """Mark a function that returns soon, for signal handlers that check `interruptible` before they raise.

    The function itself is returned, without a wrapper that could be interrupted. Python's own handler of Ctrl-C does
    not check.
    """
    _UNINTERRUPTIBLE.add(function.__code__)
    return function


def interruptible(frame: FrameType | None) -> bool:
    """Whether an exception may be raised in this frame: neither in a marked function nor during an import.

    An interrupted import leaves a partial module. The exception may surface as another error, or end `python -m`
    although it was caught (if it was raised in an `exec`).
    """
    while frame is not None:
        if frame.f_code in _UNINTERRUPTIBLE or frame.f_code.co_filename.startswith("<frozen importlib"):
            return False
        frame = frame.f_back
    return True
