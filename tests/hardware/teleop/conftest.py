"""A pseudo-terminal with typed input."""

import array
import fcntl
import os
import termios
from collections.abc import Iterator

import pytest

from ebt_data.step import BenchSpec
from ebt_hardware.teleop.keyboard_arm import KeyboardArm
from ebt_hardware.teleop.keys import TerminalKeys


class Typist:
    """The other end of a terminal."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.now_s = 0.0
        self.before = termios.tcgetattr(self.slave)
        self.keys = TerminalKeys(self.slave, lambda: self.now_s)

    def type(self, text: str | bytes) -> None:
        """Type it all, and let the kernel hand it over: a worker of its own carries it to the other end."""
        typed = text.encode() if isinstance(text, str) else text
        awaited = self._unread() + len(typed)
        os.write(self.master, typed)
        for _ in range(100_000):
            if not self.keys.active or self._unread() >= awaited:
                break
            os.sched_yield()

    def _unread(self) -> int:
        """Bytes that wait at the other end."""
        count = array.array("i", [0])
        fcntl.ioctl(self.slave, termios.FIONREAD, count)
        return count[0]

    def pressed(self) -> list[str]:
        found = []
        while (key := self.keys.poll()) is not None:
            found.append(key)
        return found


@pytest.fixture
def typist() -> Iterator[Typist]:
    typist = Typist()
    yield typist
    os.close(typist.master)
    os.close(typist.slave)


def arm(typist: Typist, *joints: str) -> KeyboardArm:
    return KeyboardArm(BenchSpec("bench", joints, {}, 20.0, sim=True), typist.keys)
