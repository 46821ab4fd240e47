import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ebt_data.agent import Agent
from ebt_data.errors import DataError, TaskFailed
from ebt_data.step import Outcome
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.disturbance import DisturbanceRule
from ebt_recipes.loop.recording import Limits
from ebt_recipes.loop.rollouts import Rollout, Trained, Trial, rollouts
from ebt_recipes.training.checkpoint import Run
from ebt_recipes.uncertainty.conformal import calibrate

SHORT = Limits(max_seconds=1.5)


@dataclass(frozen=True)
class DyingOn:
    """The worker of this seed dies, as when memory runs out; the others never end."""

    seed: int | None

    def __call__(self, bench: Bench, seed: int) -> Agent:
        if seed == self.seed:
            os._exit(9)
        threading.Event().wait()
        raise AssertionError


class Interrupting(list[int]):
    """Seeds; an interrupt arrives after the last has been taken."""

    def __iter__(self) -> Iterator[int]:
        yield from super().__iter__()
        signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(untrained: Run) -> None:
    trial = Trial("twin", Trained(untrained.path), SHORT)
    reported: list[Rollout] = []
    alone = rollouts(trial, [4, 3], workers=1)
    together = rollouts(trial, [3, 4], workers=2, report=reported.append)
    assert [rollout.seed for rollout in together] == [3, 4]
    assert sorted(alone, key=lambda rollout: rollout.seed) == together
    assert len({rollout.plans for rollout in together}) == 2
    assert sorted(rollout.seed for rollout in reported) == [3, 4]


@pytest.mark.slow
def test_the_controls_and_the_monitored_policy_roll_out(untrained: Run, tmp_path: Path) -> None:
    bare, masked, no_descent = (
        rollouts(Trial("twin", make, SHORT), [1], workers=1)[0]
        for make in (
            Trained(untrained.path),
            Trained(untrained.path, blindfolded=True),
            Trained(untrained.path, steps=0),
        )
    )
    assert bare.plans != masked.plans
    assert bare.outcome is Outcome.FAILURE
    assert len(no_descent.plans) == len(bare.plans)
    calibrate([bare.score_series]).save(tmp_path / "calibration.json")
    monitored = Trained(untrained.path, calibration=tmp_path / "calibration.json")
    disturbed = Trial("twin", monitored, SHORT, DisturbanceRule("nudge", 0.5, once_lifted=False))
    (rollout,) = rollouts(disturbed, [1], workers=1)
    assert [event[1:] for event in rollout.events if event[1] == "disturbance"] == [("disturbance", "nudge")]
    assert rollout.attempts == 1


def test_an_exception_in_a_worker_is_raised_here_with_its_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        rollouts(Trial("twin", Trained(tmp_path / "nothing"), SHORT), [1, 2], workers=1)
    assert caught.value.hint == "train one with: ebt train"


def test_a_dead_worker_raises_instead_of_hanging() -> None:
    with pytest.raises(TaskFailed, match="worker died"):
        rollouts(Trial("twin", DyingOn(1), SHORT), [1, 2], workers=1)


def test_the_other_workers_end_when_one_dies() -> None:
    with pytest.raises(TaskFailed, match="worker died"):
        rollouts(Trial("twin", DyingOn(1), SHORT), [1, 2, 3], workers=2)


def test_an_interrupt_while_the_workers_start_is_raised_promptly() -> None:
    with pytest.raises(KeyboardInterrupt):
        rollouts(Trial("twin", DyingOn(None), SHORT), Interrupting([1, 2]), workers=2)
