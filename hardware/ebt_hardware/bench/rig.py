"""The devices of a bench, and the parameters of its own motions."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ebt_data.step import Joints
from ebt_hardware.device import Camera, Clock, Scene
from ebt_hardware.motors.arm import Arm


@dataclass(frozen=True)
class Motion:
    """Parameters of the bench's own motions: home, park, engage."""

    home: Joints
    park: Joints
    """[J] rad; where the arm does not fall when its torque is cut."""
    speed_rad_s: float = 1.0
    arrived_rad: float = 0.1
    """Distance at which a pose counts as reached; printed arms sag."""
    time_limit_s: float = 15.0
    watchdog_s: float | None = 0.5
    """Motors stop by themselves after this time without a packet."""


@dataclass(frozen=True)
class Rig:
    """The devices behind a bench."""

    followers: Sequence[Arm]
    cameras: Mapping[str, Camera]
    clock: Clock
    leaders: Mapping[str, Arm] = field(default_factory=dict)
    """By the name of their follower; not connected until teleoperation starts."""
    scene: Scene | None = None
    closers: ExitStack = field(default_factory=ExitStack)
    """Closes every device, all of them even when one raises."""
