"""Keys from a terminal, and joints moved by them."""

import array
import fcntl
import os
import signal
import termios
from collections.abc import Iterator

import numpy as np
import pytest

from ebt_data.errors import HardwareError
from ebt_data.layout.format import TEXT_BYTES
from ebt_data.step import Actor, BenchSpec, Joints, Observation
from ebt_hardware.teleop.keyboard_arm import AHEAD_RAD, STEP_RAD, KeyboardArm
from ebt_hardware.teleop.keys import LINE_BYTES, HeldKeys, TerminalKeys


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


def see(position: Joints) -> Observation:
    still = np.zeros_like(position)
    return Observation(0.0, 0.0, position, still, still, {})


def arm(typist: Typist, *joints: str) -> KeyboardArm:
    return KeyboardArm(BenchSpec("bench", joints, {}, 20.0, sim=True), typist.keys)


def test_while_a_line_is_written_all_keys_belong_to_it(typist: Typist) -> None:
    with typist.keys as keys:
        arm = keys.share("12")
        typist.type("ns 1")  # typed in one go: what follows the n is the line's already
        assert keys.poll() == "n"
        keys.write()
        typist.type("23\x7f é\t!")
        assert (keys.written(), keys.poll(), keys.line) == (None, None, "s 2 é!")
        typist.type("\n1s")
        assert (keys.written(), keys.written(), keys.line) == ("s 2 é!", None, None)
        assert [keys.poll(), arm(), arm()] == ["s", "1", "1"]


def test_a_line_is_as_long_as_an_event_can_keep(typist: Typist) -> None:
    with typist.keys as keys:
        keys.write()
        typist.type("é" * 200 + "\n")
        assert keys.written() == "é" * (LINE_BYTES // 2)
    assert LINE_BYTES <= TEXT_BYTES


def test_what_is_pasted_is_text_and_no_keys(typist: Typist) -> None:
    with typist.keys as keys:
        typist.type("\x1b[200~save\nquit\x1b[201~m")
        assert typist.pressed() == ["m"]
        keys.write()
        typist.type("the \x1b[200~arm\nis hot")
        assert keys.written() is None
        typist.type("\r\x1b[201~!\n")
        assert keys.written() == "the arm is hot!"


def test_a_paste_may_come_in_pieces_and_without_an_end(typist: Typist) -> None:
    with typist.keys as keys:
        keys.write()
        for piece in ("\x1b[2", "00", "~too ", "hot\x1b[20", "1~"):
            typist.type(piece)
            typist.now_s += 0.1
            assert keys.written() is None
        typist.type("\n")
        assert keys.written() == "too hot"
        typist.type("\x1b[200~never ended")
        assert typist.pressed() == []
        typist.now_s += 2.0
        assert typist.pressed() == []
        typist.type("q")
        assert typist.pressed() == ["q"]


def test_alt_with_a_key_is_esc_but_nothing_in_a_line(typist: Typist) -> None:
    with typist.keys as keys:
        typist.type("\x1bb\x1b ")
        assert typist.pressed() == ["esc", "esc"], "b must not throw anything away"
        keys.write()
        typist.type("a\x1bbc\n")
        assert keys.written() == "ac"


def test_esc_gives_a_line_up_and_an_empty_one_is_none(typist: Typist) -> None:
    with typist.keys as keys:
        for typed in ("  \n", "half a\x1b[A", "\n"):
            keys.write()
            typist.type(typed)
            keys.poll()
        keys.write()
        typist.type("more\x1b")
        assert (keys.written(), keys.line) == (None, "more"), "it may begin an arrow"
        typist.now_s += 1.0
        assert (keys.written(), keys.line) == (None, None)


def test_characters_and_named_keys_come_one_press_at_a_time(typist: Typist) -> None:
    with typist.keys as keys:
        typist.type("a \t\r\x7fé\x1b[A\x1b[B\x1b[C\x1b[D\x1bOAz")
        expected = ["a", "space", "tab", "enter", "backspace", "é", "up", "down", "right", "left", "up", "z"]
        assert typist.pressed() == expected
        assert keys.poll() is None


def test_a_lone_escape_is_a_key_after_a_moment(typist: Typist) -> None:
    with typist.keys:
        typist.type("\x1b")
        assert typist.pressed() == []
        typist.now_s += 0.03
        assert typist.pressed() == ["esc"]


def test_an_arrow_that_comes_in_pieces_is_one_key(typist: Typist) -> None:
    with typist.keys:
        for piece in (b"\x1b", b"[", b"C"):
            typist.type(piece)
            typist.now_s += 0.005
            found = typist.pressed()
        assert found == ["right"]


def test_keys_that_mean_nothing_are_swallowed_whole(typist: Typist) -> None:
    with typist.keys:
        typist.type(b"\x1b[15~\x1b[1;5C\x01\xffq")
        assert [key for key in typist.pressed() if key.isascii()] == ["right", "q"]


def test_nothing_is_echoed_and_ctrl_c_still_interrupts(typist: Typist) -> None:
    with typist.keys:
        _, _, _, local, *_, characters = termios.tcgetattr(typist.slave)
        assert not local & (termios.ECHO | termios.ICANON)
        assert local & termios.ISIG
        assert characters[termios.VINTR] == b"\x03"
        assert characters[termios.VSUSP] == b"\x00"  # a stopped program feeds no watchdog


def test_the_terminal_is_as_before_afterwards_even_on_an_error(typist: Typist) -> None:
    with pytest.raises(ZeroDivisionError), typist.keys:
        raise ZeroDivisionError
    assert termios.tcgetattr(typist.slave) == typist.before
    assert not typist.keys.active


def test_unread_keys_do_not_reach_the_shell(typist: Typist) -> None:
    with typist.keys:
        typist.type("rm -rf\r")
    os.set_blocking(typist.slave, False)
    with pytest.raises(BlockingIOError):
        os.read(typist.slave, 10)


def test_after_a_stop_and_continue_keys_work_again(typist: Typist) -> None:
    handler = signal.getsignal(signal.SIGCONT)
    with typist.keys:
        termios.tcsetattr(typist.slave, termios.TCSANOW, typist.before)  # as the shell does
        os.kill(os.getpid(), signal.SIGCONT)
        typist.type("x")
        assert typist.pressed() == ["x"]
    assert signal.getsignal(signal.SIGCONT) is handler


def test_without_a_terminal_there_are_no_keys_and_it_says_so() -> None:
    out, into = os.pipe()
    os.write(into, b"abc")
    with TerminalKeys(out) as keys:
        assert not keys.active
        assert "not a terminal" in keys.notice
        assert keys.poll() is None
    os.close(out)
    os.close(into)


def test_shared_keys_go_to_their_reader_only(typist: Typist) -> None:
    with typist.keys as keys:
        jog = keys.share(["up", "down"])
        typist.type("s\x1b[Aq\x1b[B")
        assert typist.pressed() == ["s", "q"]
        assert [jog(), jog(), jog()] == ["up", "down", None]


def test_one_press_is_one_step_of_the_chosen_joint(typist: Typist) -> None:
    with typist.keys:
        agent = arm(typist, "lift", "flex", "gripper")
        here = np.array([0.1, 0.2, 0.3], np.float32)
        agent.reset(see(here))
        assert agent.chosen == "lift"
        typist.type("\x1b[A\x1b[A2\x1b[B")
        decision = agent.decide(see(here))
        np.testing.assert_allclose(decision.action, here + np.array([2, -1, 0]) * STEP_RAD, rtol=1e-5)
        assert decision.actor is Actor.HUMAN
        assert agent.chosen == "flex"
        np.testing.assert_array_equal(agent.decide(see(here)).action, decision.action)


def test_every_joint_of_two_arms_is_within_reach(typist: Typist) -> None:
    joints = [f"{side}/{joint}" for side in ("left", "right") for joint in "abcdef"]
    with typist.keys:
        agent = arm(typist, *joints)
        here = np.zeros(12, np.float32)
        agent.reset(see(here))
        for _ in range(2):
            for key in "123456":
                typist.type(f"{key}\x1b[A")
                agent.decide(see(here))
            typist.type("\t")
        np.testing.assert_allclose(agent.decide(see(here)).action, np.full(12, STEP_RAD), rtol=1e-6)


def test_the_goal_does_not_run_away_from_a_stopped_joint(typist: Typist) -> None:
    with typist.keys:
        agent = arm(typist, "lift")
        here = np.zeros(1, np.float32)
        agent.reset(see(here))
        typist.type("\x1b[A" * 50)
        assert agent.decide(see(here)).action[0] == pytest.approx(AHEAD_RAD)
        typist.type("\x1b[B")
        assert agent.decide(see(here)).action[0] == pytest.approx(AHEAD_RAD - STEP_RAD)


def test_presses_before_an_episode_count_for_nothing(typist: Typist) -> None:
    with typist.keys:
        agent = arm(typist, "lift")
        typist.type("\x1b[A")
        agent.reset(see(np.zeros(1, np.float32)))
        assert agent.decide(see(np.zeros(1, np.float32))).action[0] == 0.0


def test_more_joints_than_keys_are_refused(typist: Typist) -> None:
    with pytest.raises(HardwareError, match="reaches 10 joints an arm, this one has 11"):
        arm(typist, *(f"joint{place}" for place in range(11)))


@pytest.mark.skipif("DISPLAY" in os.environ, reason="there is a display here")
def test_held_keys_without_a_display_explain_themselves() -> None:
    with pytest.raises(HardwareError, match="no desktop to read keys from") as caught, HeldKeys():
        pass
    assert "terminal" in caught.value.hint
