"""Connects emulated motors to the twin's joints, for lock-step and live."""

from collections.abc import Callable, Mapping
from typing import Protocol

from ebt_data.errors import ConfigError
from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator
from ebt_hardware.emulator.shaft import Shaft

Motors = Mapping[int, str]
"""Model by id, from the base to the gripper."""

# The motors of a Koch v1.1: https://github.com/jess-moss/koch-v1-1
KOCH: Mapping[str, Motors] = {
    "follower": {1: "XL430-W250", 2: "XL430-W250", **dict.fromkeys(range(3, 7), "XL330-M288")},
    "leader": dict.fromkeys(range(1, 7), "XL330-M077"),
}


class HasShafts(Protocol):
    """An arm of the simulated world."""

    @property
    def shafts(self) -> tuple[Shaft, ...]: ...


class HasArms(Protocol):
    """The part of `TwinWorld` that motors need."""

    @property
    def arms(self) -> Mapping[str, HasShafts]: ...

    def on_step(self, subscriber: Callable[[float], None]) -> None: ...


def emulate(world: HasArms, arm: str, motors: Motors, clock: Callable[[], float] | None = None) -> Emulator:
    """A bus of emulated motors on one arm, updated at every step of the world.

    `clock` stamps the log of goal writes; by default it is the world's time since this call.

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
    world: HasArms, motors: Mapping[str, Motors] = KOCH, clock: Callable[[], float] | None = None
) -> dict[str, Emulator]:
    """An emulated bus for every arm in `motors`."""
    return {arm: emulate(world, arm, chain, clock) for arm, chain in motors.items()}
