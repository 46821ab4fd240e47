"""Disturbs the twin at the same time in every rollout, so that recoveries can be counted.

Hooks(on_step=Disturbance(DisturbanceRule("knock"), bench))
"""

from dataclasses import dataclass

from ebt_data.errors import MisuseError
from ebt_data.step import Event, Step
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import DynamixelBench, TwinBench

_REAL = "Only a twin can be disturbed on command; this bench is real"


@dataclass(frozen=True)
class DisturbanceRule:
    """Which disturbance to apply, and when."""

    kind: str
    """Its name in the twin's task."""
    after_s: float = 0.0
    """Earliest time in the episode."""
    once_lifted: bool = True
    """Only while the gripper has lifted the task's object."""


def check_disturbance(table: TwinBench | DynamixelBench, kind: str) -> None:
    """Check that this bench has the disturbance, before the bench is opened.

    Raises:
        MisuseError: the bench is real, or its task has no such disturbance.
    """
    spec = table.spec
    if not spec.sim:
        raise MisuseError(_REAL, hint="--bench twin")
    if kind not in table.disturbances:
        choices = " or ".join(table.disturbances)
        raise MisuseError(f"{spec.task} has no disturbance {kind!r}", hint=f"choose {choices}" if choices else "")


class Disturbance:
    """Disturbs the scene once per episode, at the first step for which the rule holds."""

    def __init__(self, rule: DisturbanceRule, bench: Bench) -> None:
        """Prepare the disturbance; the scene does not change yet.

        Raises:
            MisuseError: the bench is real.
        """
        if bench.scene is None:
            raise MisuseError(_REAL, hint="--bench twin")
        self._rule = rule
        self._scene = bench.scene
        self._last_s = float("-inf")
        self._done = False

    def __call__(self, step: Step) -> Event | None:
        now_s = step.observation.time_s
        # The clock restarts with every episode.
        self._done = self._done and now_s > self._last_s
        self._last_s = now_s
        rule = self._rule
        early = now_s < rule.after_s - 1e-6  # simulated times are sums of periods
        if self._done or early or (rule.once_lifted and not self._scene.lifted()):
            return None
        self._done = True
        self._scene.disturb(rule.kind)
        return Event("disturbance", rule.kind)
