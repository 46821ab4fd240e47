"""Functions during which stop signals are deferred: interrupted half-way, they would leave an inconsistent state."""

from collections.abc import Callable
from types import CodeType, FrameType
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

_WHOLE: set[CodeType] = set()


def defer_signals(function: Function) -> Function:
    """Mark a function that returns soon, for signal handlers that check `interruptible` before they raise.

    A call does nothing more than before, so there is no moment at which it is half marked. Python's own handler of
    Ctrl-C does not check.
    """
    _WHOLE.add(function.__code__)
    return function


def interruptible(frame: FrameType | None) -> bool:
    """Whether an exception may be raised in this frame: neither in a marked function nor during an import.

    An interrupted import leaves a partial module, and the exception may surface as another error, or be caught and still
    end `python -m` as if it had not been (where it hit an `exec`).
    """
    while frame is not None:
        if frame.f_code in _WHOLE or frame.f_code.co_filename.startswith("<frozen importlib"):
            return False
        frame = frame.f_back
    return True
