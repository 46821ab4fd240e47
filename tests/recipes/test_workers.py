"""Stop signals that are deferred, and workers that ignore them."""

import multiprocessing
import signal
from threading import Thread

import pytest

from ebt_recipes.workers import STOP_SIGNALS, deferred_signals, ignore_stop_signals, workers_possible


@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_a_stop_is_raised_at_the_next_safe_point(stop: signal.Signals) -> None:
    before, reached = signal.getsignal(stop), []
    with pytest.raises(KeyboardInterrupt), deferred_signals() as raise_if_stopped:
        raise_if_stopped()
        signal.raise_signal(stop)
        reached.append("after the signal")
        raise_if_stopped()
        reached.append("after the safe point")
    assert reached == ["after the signal"]
    assert signal.getsignal(stop) is before


def test_a_stop_without_a_safe_point_is_raised_at_the_end_of_the_block() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)  # closing a terminal sends two
        reached.append("the end")
    assert reached == ["the end"]


def test_a_second_interrupt_is_raised_at_once() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        signal.raise_signal(signal.SIGINT)
        reached.append("after one")
        signal.raise_signal(signal.SIGINT)
        reached.append("after two")
    assert reached == ["after one"]


def test_another_thread_defers_nothing_and_changes_no_handler() -> None:
    handlers = []

    def look() -> None:
        with deferred_signals():
            handlers.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_stop_signals_are_blocked_only_in_the_block() -> None:
    def blocked() -> set[int]:
        return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    before = blocked()
    with ignore_stop_signals():
        assert blocked() == before | set(STOP_SIGNALS)
    assert blocked() == before


def test_without_semaphores_there_are_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(method: str) -> None:
        raise OSError("no semaphores")

    assert workers_possible()
    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    assert not workers_possible()
