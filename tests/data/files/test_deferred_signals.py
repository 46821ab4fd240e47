"""Where a stop signal may raise, and where it is deferred."""

import sys
from types import FrameType

from ebt_data.files.deferred_signals import defer_signals, interruptible


def here() -> FrameType | None:
    """The caller's frame."""
    return sys._getframe(1)


@defer_signals
def marked() -> list[bool]:
    return [interruptible(here()), plain()]


def plain() -> bool:
    return interruptible(here())


def test_a_marked_function_and_its_callees_are_not_interrupted() -> None:
    assert marked() == [False, False]


def test_any_other_frame_may_be_interrupted() -> None:
    marked()
    assert plain() is True
    assert interruptible(None) is True


def test_an_import_is_not_interrupted() -> None:
    inside = compile("found = interruptible(frame())", "<frozen importlib._bootstrap>", "exec")
    names: dict[str, object] = {"interruptible": interruptible, "frame": sys._getframe}
    exec(inside, names)
    assert names["found"] is False
