"""A bench of emulated arms in simulated time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from ebt_data.step import BenchSpec, Joints
from ebt_hardware.bench.bench import Bench
from ebt_hardware.bench.clock import LockstepClock
from ebt_hardware.bench.followers import joint_names
from ebt_hardware.bench.rig import Motion, Rig
from ebt_hardware.emulator.emulator import EmulatedMotor, Emulator, FreeShaft
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.arm import Arm
from ebt_hardware.motors.bus import DynamixelBus
from ebt_hardware.motors.calibration import Calibration, JointCalibration
from ebt_hardware.safety.supervisor import Limits

RATE_HZ = 20.0
IDS = (1, 2, 3)
HOME = (0.3, 1.2, 1.0)
PARK = (-0.4, 0.8, 1.0)
START = (0.1, 0.5, 0.2)


@dataclass
class Room:
    """Emulated arms whose time advances on request; a `World`."""

    emulators: list[Emulator] = field(default_factory=list)
    horns: list[FreeShaft] = field(default_factory=list)
    time_s: float = 0.0
    on_tick: Callable[[], None] = lambda: None

    def advance(self, duration_s: float) -> None:
        for _ in range(round(duration_s / 0.01)):
            self.time_s += 0.01
            for emulator in self.emulators:
                emulator.update(0.01)
        self.on_tick()

    def add(self, name: str, start: Sequence[float] = START) -> Arm:
        models = ("XL430-W250", "XL330-M288", "XL330-M288")
        signs = (1, -1, 1)
        zeros = (2048, 1900, 2048)
        horns = [
            FreeShaft(sign * angle + (zero - 2048) * 2 * np.pi / 4096)
            for angle, sign, zero in zip(start, signs, zeros, strict=True)
        ]
        motors = [
            EmulatedMotor(model, motor, horn) for motor, (model, horn) in enumerate(zip(models, horns, strict=True), 1)
        ]
        self.horns += horns
        emulator = Emulator(motors, lambda: self.time_s)
        self.emulators.append(emulator)
        joints = {
            joint: JointCalibration(id=motor, model=model, sign=sign, zero=zero, low=low, high=high)
            for joint, motor, model, sign, zero, low, high in (
                ("lift", 1, models[0], signs[0], zeros[0], -1.0, 1.5),
                ("flex", 2, models[1], signs[1], zeros[1], -0.5, 2.0),
                ("gripper", 3, models[2], signs[2], zeros[2], 0.0, 1.4),
            )
        }
        bus = DynamixelBus(LoopbackPort(emulator, name), dict(enumerate(models, 1)))
        return Arm(name, bus, Calibration(joints))


def build(room: Room, *arms: Arm) -> Bench:
    count = len(arms)
    calibrations = [arm.calibration for arm in arms]
    limits = Limits(
        low=np.concatenate([calibration.low for calibration in calibrations]),
        high=np.concatenate([calibration.high for calibration in calibrations]),
        velocity_rad_s=np.full(3 * count, 3.0, np.float32),
        tracking_rad=np.array([0.4, 0.4, np.inf] * count, np.float32),
    )
    spec = BenchSpec("room", joint_names(arms), {}, RATE_HZ, sim=False, lockstep=True)
    rig = Rig(arms, {}, LockstepClock(room, RATE_HZ))
    return Bench(spec, rig, limits, Motion(row(HOME * count), row(PARK * count)))


def row(values: Sequence[float]) -> Joints:
    return np.array(values, np.float32)


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def arm(room: Room) -> Arm:
    return room.add("follower")


@pytest.fixture
def bench(room: Room, arm: Arm) -> Bench:
    return build(room, arm)


@pytest.fixture
def motors(room: Room, arm: Arm) -> Emulator:
    return room.emulators[0]


def torque(motors: Emulator) -> list[int]:
    return [motors[motor]["torque_enable"] for motor in IDS]


def run(bench: Bench, ticks: int, action: Joints) -> None:
    for _ in range(ticks):
        bench.observe()
        bench.act(action)
        bench.wait()
