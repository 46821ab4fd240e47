"""Keys from a terminal."""

import os
import signal
import termios

import pytest

from ebt_data.errors import HardwareError
from ebt_data.layout.format import TEXT_BYTES
from ebt_hardware.teleop.keys import LINE_BYTES, HeldKeys, TerminalKeys
from tests.hardware.teleop.conftest import Typist


def test_while_a_line_is_typed_all_keys_belong_to_it(typist: Typist) -> None:
    with typist.keys as keys:
        arm = keys.subscribe("12")
        typist.type("ns 1")  # typed in one go: what follows the n belongs to the line
        assert keys.poll() == "n"
        keys.start_line()
        typist.type("23\x7f é\t!")
        assert (keys.next_line(), keys.poll(), keys.line) == (None, None, "s 2 é!")
        typist.type("\n1s")
        assert (keys.next_line(), keys.next_line(), keys.line) == ("s 2 é!", None, None)
        assert [keys.poll(), arm(), arm()] == ["s", "1", "1"]


def test_a_line_is_as_long_as_an_event_can_keep(typist: Typist) -> None:
    with typist.keys as keys:
        keys.start_line()
        typist.type("é" * 200 + "\n")
        assert keys.next_line() == "é" * (LINE_BYTES // 2)
    assert LINE_BYTES <= TEXT_BYTES


def test_what_is_pasted_is_text_and_no_keys(typist: Typist) -> None:
    with typist.keys as keys:
        typist.type("\x1b[200~save\nquit\x1b[201~m")
        assert typist.pressed() == ["m"]
        keys.start_line()
        typist.type("the \x1b[200~arm\nis hot")
        assert keys.next_line() is None
        typist.type("\r\x1b[201~!\n")
        assert keys.next_line() == "the arm is hot!"


def test_a_paste_may_come_in_pieces_and_without_an_end(typist: Typist) -> None:
    with typist.keys as keys:
        keys.start_line()
        for piece in ("\x1b[2", "00", "~too ", "hot\x1b[20", "1~"):
            typist.type(piece)
            typist.now_s += 0.1
            assert keys.next_line() is None
        typist.type("\n")
        assert keys.next_line() == "too hot"
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
        keys.start_line()
        typist.type("a\x1bbc\n")
        assert keys.next_line() == "ac"


def test_esc_cancels_a_line_and_an_empty_one_is_none(typist: Typist) -> None:
    with typist.keys as keys:
        for typed in ("  \n", "half a\x1b[A", "\n"):
            keys.start_line()
            typist.type(typed)
            keys.poll()
        keys.start_line()
        typist.type("more\x1b")
        assert (keys.next_line(), keys.line) == (None, "more"), "it may begin an arrow"
        typist.now_s += 1.0
        assert (keys.next_line(), keys.line) == (None, None)


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


def test_unknown_keys_are_ignored_completely(typist: Typist) -> None:
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


def test_without_a_terminal_there_are_no_keys_and_the_notice_explains_it() -> None:
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
        jog = keys.subscribe(["up", "down"])
        typist.type("s\x1b[Aq\x1b[B")
        assert typist.pressed() == ["s", "q"]
        assert [jog(), jog(), jog()] == ["up", "down", None]


@pytest.mark.skipif("DISPLAY" in os.environ, reason="there is a display here")
def test_held_keys_without_a_display_explain_themselves() -> None:
    with pytest.raises(HardwareError, match="no desktop to read keys from") as caught, HeldKeys():
        pass
    assert "terminal" in caught.value.hint
