"""Short sessions on the twin, with agents and keys that do what a test wants at a tick."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, count, repeat
from pathlib import Path
from typing import cast

import numpy as np

from ebt_data.agent import Agent
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, Decision, Event, Observation
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.opening import TwinScene
from ebt_hardware.twin.tasks.pick_place import BIN_M
from ebt_recipes.loop.collect import CollectPlan, collect
from ebt_recipes.loop.deploy import DeployPlan, DeploySummary, deploy
from ebt_recipes.loop.recording import Command, Hooks, Limits
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.training.checkpoint import Run

DEMO = EpisodeMeta(kind="demo", task="pick_place", bench="twin")
ROLLOUT = EpisodeMeta(kind="rollout", task="pick_place", bench="twin", policy="untrained")
SHORT = CollectPlan(target=2, limits=Limits(max_seconds=0.5), first_seed=10)


class Still:
    """An operator who does not move the leader arm; the keys decide the outcome."""

    def reset(self, observation: Observation) -> None:
        self.start = observation.position

    def decide(self, observation: Observation) -> Decision:
        return Decision(self.start, Actor.HUMAN)


def keys(*pressed: Command) -> Callable[[], Command]:
    """One key in each episode, on its third tick."""
    commands: Iterator[Command] = chain.from_iterable((Command.NONE, Command.NONE, key) for key in pressed)
    endless = chain(commands, repeat(Command.NONE))
    return lambda: next(endless)


def by_tick(pressed: dict[int, Command], notes: dict[int, Event]) -> Hooks:
    """Keys and notes by the tick of the session, from 0."""
    ticks, counted = count(), []

    def command() -> Command:
        counted.append(next(ticks))
        return pressed.get(counted[-1], Command.NONE)

    return Hooks(command=command, notes=lambda: (notes[counted[-1]],) if counted[-1] in notes else ())


def collected(twin: Bench, folder: Path, hooks: Hooks, agent: Agent, limits: Limits = SHORT.limits) -> Path:
    with Recorder(folder, twin.spec) as recorder:
        (path,) = collect(twin, agent, recorder, folder, DEMO, replace(SHORT, target=1, limits=limits), hooks).kept
    return path


class Climber:
    """An operator who raises one joint a little at each tick, from its pose at the reset."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self, observation: Observation) -> None:
        self.resets += 1
        self.goal = observation.position.copy()

    def decide(self, observation: Observation) -> Decision:
        self.goal = self.goal + np.float32(0.01) * (np.arange(len(self.goal)) == 0)
        return Decision(self.goal, Actor.HUMAN)


class Finisher:
    """An agent that holds its pose and is done on its fifth decision."""

    def reset(self, observation: Observation) -> None:
        self.start, self.count = observation.position, 0

    def decide(self, observation: Observation) -> Decision:
        self.count += 1
        return Decision(self.start, Actor.POLICY, done=self.count == 5)


def put_cube_into_bin(twin: Bench) -> None:
    """Move the cube directly; the task still decides the success."""
    cube = cast(TwinScene, twin.scene).world.data.joint("cube")
    cube.qpos[:3] = (*BIN_M, 0.03)
    cube.qvel[:] = 0.0


def rolled(
    twin: Bench, run: Run, folder: Path, hooks: Hooks | None = None, seeds: tuple[int, ...] = (1,), seconds: float = 1.0
) -> DeploySummary:
    policy = EnergyPolicy(run, twin.spec)
    plan = DeployPlan(seeds, Limits(seconds))
    with Recorder(folder, twin.spec) as recorder:
        return deploy(twin, policy, recorder, ROLLOUT, plan, hooks)


def on_tick(number: int, command: Command) -> Callable[[], Command]:
    """The key is pressed once, on this tick of the session."""
    ticks = iter(range(1, 1_000_000))
    return lambda: command if next(ticks) == number else Command.NONE
