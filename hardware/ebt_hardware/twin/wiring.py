"""Which emulated motors turn which joints of the twin: one place, for lock-step and live."""

from collections.abc import Callable, Mapping
from typing import Protocol

from ebt_data.errors import ConfigError
from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator
from ebt_hardware.emulator.shaft import Shaft

Motors = Mapping[int, str]
"""Model by id, from the base to the gripper."""

# As a Koch v1.1 has them: https://github.com/jess-moss/koch-v1-1
KOCH: Mapping[str, Motors] = {
    "follower": {1: "XL430-W250", 2: "XL430-W250", **dict.fromkeys(range(3, 7), "XL330-M288")},
    "leader": dict.fromkeys(range(1, 7), "XL330-M077"),
}


class Jointed(Protocol):
    """An arm of the world."""

    @property
    def shafts(self) -> tuple[Shaft, ...]: ...


class Armed(Protocol):
    """The part of `TwinWorld` that motors need."""

    @property
    def arms(self) -> Mapping[str, Jointed]: ...

    def on_step(self, subscriber: Callable[[float], None]) -> None: ...


def emulate(world: Armed, arm: str, motors: Motors, clock: Callable[[], float] | None = None) -> Emulator:
    """A bus of motors on one arm, which lives as the world's time passes.

    `clock` stamps the log of goal writes; by default it is the time since now in the world.

    Raises:
        ConfigError: no such arm, another number of joints, or an unknown motor model.
    """
    if arm not in world.arms:
        raise ConfigError(f"the twin has no arm {arm!r}; it has {', '.join(world.arms)}")
    shafts = world.arms[arm].shafts
    if len(motors) != len(shafts):
        raise ConfigError(f"the twin's {arm} has {len(shafts)} joints, the bench file names {len(motors)}")
    pairs = zip(motors.items(), shafts, strict=True)
    emulator = Emulator([EmulatedMotor(model, number, shaft) for (number, model), shaft in pairs], clock)
    world.on_step(emulator.update)
    return emulator


def emulators(
    world: Armed, motors: Mapping[str, Motors] = KOCH, clock: Callable[[], float] | None = None
) -> dict[str, Emulator]:
    """A bus for every arm that `motors` names."""
    return {arm: emulate(world, arm, chain, clock) for arm, chain in motors.items()}
