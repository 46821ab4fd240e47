"""Opens the devices of a bench file. If one fails to open, those already open are closed."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ebt_data.agent import Agent
from ebt_data.errors import ConfigError
from ebt_data.step import Image
from ebt_hardware.bench.bench import Bench
from ebt_hardware.bench.clock import LockstepClock, WallClock
from ebt_hardware.bench.realtime import realtime
from ebt_hardware.bench.rig import Rig
from ebt_hardware.config.bench_file import DynamixelFile, LeaderTable, SerialFollower, SerialLeader, TwinFile
from ebt_hardware.config.bench_tables import JointTable, SafetyTable, limits, motion, registers, uncalibrated
from ebt_hardware.device import Camera, Clock, Scene
from ebt_hardware.emulator.loopback_port import LoopbackPort
from ebt_hardware.motors.arm import Arm
from ebt_hardware.motors.bus import DynamixelBus
from ebt_hardware.motors.calibration import load_calibration
from ebt_hardware.motors.port import SerialPort
from ebt_hardware.teleop.leader_arm import LeaderArm, LeaderPair, ScriptedLeader

if TYPE_CHECKING:
    from ebt_hardware.twin.render.lockstep_cameras import TwinCameras
    from ebt_hardware.twin.world import TwinWorld


class TwinScene:
    """The lock-step twin's `Scene`: its world and renderer."""

    def __init__(self, world: "TwinWorld", cameras: "TwinCameras") -> None:
        self.world = world
        self._cameras = cameras

    def reset(self, seed: int) -> None:
        """Reset the objects' poses; the same seed gives the same poses."""
        self.world.reset(seed)

    def succeeded(self) -> bool:
        """True while the task's success test holds."""
        return self.world.succeeded()

    def privileged(self) -> Mapping[str, NDArray[np.float32]]:
        """Poses by name, as `TwinWorld.privileged` has them: [7] = position m, quaternion wxyz."""
        return self.world.privileged()

    def lifted(self) -> bool:
        """True while the gripper holds the task's object up."""
        return self.world.lifted()

    def disturb(self, kind: str) -> None:
        """Physically disturb the scene."""
        self.world.disturb(kind)

    def demonstrate(self) -> None:
        """Let the scripted operator demonstrate the task once with the leader arm, from the next tick on."""
        self.world.demonstrate()

    def demonstrating(self) -> bool:
        """False once the scripted operator has released the leader arm."""
        return self.world.demonstrating()

    def picture(self, height: int, width: int) -> Image:
        """A third-person view for display, never for policies."""
        return self._cameras.picture(height, width)


def lockstep_bench(file: TwinFile) -> Bench:
    """The twin in this process, in simulated time."""
    from ebt_hardware.twin.render.lockstep_cameras import TwinCameras
    from ebt_hardware.twin.wiring import emulators
    from ebt_hardware.twin.world import TwinWorld

    world = TwinWorld(file.task)
    clock = LockstepClock(world, file.rate_hz)
    with ExitStack() as closers:
        arms = {}
        for name, emulator in emulators(world, _motors(file), lambda: world.time_s).items():
            arms[name] = _twin_arm(file, name, LoopbackPort(emulator, f"twin/{name}"))
        renderer = TwinCameras(world, {name: camera.spec for name, camera in file.cameras.items()})
        closers.callback(renderer.close)
        cameras = {name: _close_on_exit(renderer.open(name, clock), closers) for name in file.cameras}
        return _twin_bench(file, arms, cameras, clock, TwinScene(world, renderer), closers)


def live_bench(file: TwinFile) -> Bench:
    """The twin in a separate process, in real time: serial ports are ptys, everything else is as on real arms."""
    from ebt_hardware.twin.live.server import LiveTwin

    clock = WallClock(file.rate_hz)
    with ExitStack() as closers:
        specs = {name: camera.spec for name, camera in file.cameras.items()}
        twin = closers.enter_context(LiveTwin(file.task, _motors(file), specs))
        arms = {name: _twin_arm(file, name, SerialPort(path)) for name, path in twin.paths.items()}
        cameras = {name: _close_on_exit(twin.open(name, clock), closers) for name in file.cameras}
        closers.enter_context(realtime())
        return _twin_bench(file, arms, cameras, clock, twin.scene, closers)


def real_bench(file: DynamixelFile) -> Bench:
    """Arms on serial ports and RealSense cameras."""
    from ebt_hardware.cameras.realsense import RealSenseCamera, find_device

    clock = WallClock(file.rate_hz)
    followers = [_serial_arm(file, name, table) for name, table in file.followers.items()]
    leaders = {table.leads: _serial_arm(file, name, table) for name, table in file.leaders.items()}
    with ExitStack() as closers:
        for arm in (*followers, *leaders.values()):
            closers.callback(arm.bus.close)
        cameras = {
            name: _close_on_exit(RealSenseCamera(find_device(table.serial), table.spec, clock, name), closers)
            for name, table in file.cameras.items()
        }
        closers.enter_context(realtime())
        rig = Rig(followers, cameras, clock, leaders, closers=closers.pop_all())
    return _bench(file, rig)


def release(file: DynamixelFile) -> tuple[str, ...]:
    """Cut the torque of every follower that still answers, in any pose; returns the arms' names.

    Raises:
        HardwareError: some motors did not answer; all others have torque off.
    """
    with ExitStack() as stack:  # a failure of one arm does not keep torque on in the others
        for table in file.followers.values():
            bus = DynamixelBus(SerialPort(str(table.port), table.baudrate), uncalibrated(table.joints).motors)
            stack.callback(_cut_torque, bus)
    return tuple(file.followers)


def _cut_torque(bus: DynamixelBus) -> None:
    with closing(bus):
        bus.port.openPort()  # not `connect`, which raises where a motor does not respond
        bus.set_torque(False)


def open_leader(bench: Bench, tables: Mapping[str, LeaderTable]) -> Agent:
    """Connect the leaders of a bench and return one agent for all of them.

    Raises:
        ConfigError: the bench file names no leader for a follower.
        HardwareError: a motor does not respond, or a joint is far outside its range.
    """
    by_follower = {table.leads: table for table in tables.values()}
    pairs = []
    for follower in bench.rig.followers:
        if follower.name not in by_follower:
            raise ConfigError(f"bench {bench.spec.name}: no leader leads {follower.name!r}", hint="use the keyboard")
        table = by_follower[follower.name]
        ranges = tuple(name for name, joint in table.joints.items() if joint.map == "range")
        pairs.append(LeaderPair(bench.rig.leaders[follower.name], follower, ranges))
    leader = LeaderArm(pairs, bench.motion.speed_rad_s)
    return leader if bench.scene is None else ScriptedLeader(leader, bench.scene)


def _twin_bench(
    file: TwinFile,
    arms: Mapping[str, Arm],
    cameras: Mapping[str, Camera],
    clock: Clock,
    scene: Scene,
    closers: ExitStack,
) -> Bench:
    for arm in arms.values():
        closers.callback(arm.bus.close)
    followers = [arms[name] for name in file.followers]
    leaders = {table.leads: arms[name] for name, table in file.leaders.items()}
    return _bench(file, Rig(followers, cameras, clock, leaders, scene, closers.pop_all()))


def _bench(file: TwinFile | DynamixelFile, rig: Rig) -> Bench:
    tables = {name: table.joints for name, table in file.followers.items()}
    arms = {arm.name: arm for arm in rig.followers}
    try:
        return Bench(file.spec, rig, limits(file.safety, tables, arms), motion(file.safety, tables), file.reference)
    except ConfigError:
        rig.closers.close()
        raise


def _close_on_exit(camera: Camera, closers: ExitStack) -> Camera:
    closers.callback(camera.close)
    return camera


def _motors(file: TwinFile) -> dict[str, dict[int, str]]:
    """Motor models: arm name to motor id to model."""
    joints = {name: table.joints.values() for name, table in file.followers.items()}
    return {name: {joint.id: joint.model for joint in arm} for name, arm in joints.items()} | {
        name: {joint.id: joint.model for joint in table.joints.values()} for name, table in file.leaders.items()
    }


def _twin_arm(file: TwinFile, name: str, port: SerialPort | LoopbackPort) -> Arm:
    joints: Mapping[str, JointTable] = (
        file.followers[name].joints if name in file.followers else file.leaders[name].joints
    )
    calibration = uncalibrated(joints)
    return Arm(
        name, DynamixelBus(port, calibration.motors, _tolerated_misses(file.safety)), calibration, registers(joints)
    )


def _serial_arm(file: DynamixelFile, name: str, table: SerialFollower | SerialLeader) -> Arm:
    calibration = load_calibration(file.calibration_folder, name)
    expected = {joint: motor.id for joint, motor in table.joints.items()}
    calibrated = {joint: motor.id for joint, motor in calibration.joints.items()}
    if calibrated != expected:
        raise ConfigError(
            f"bench {file.name}: {name} has motors {expected}, its calibration {calibrated}",
            hint="calibrate again: docs/safety.md, Calibration",
        )
    port = SerialPort(str(table.port), table.baudrate)
    return Arm(
        name,
        DynamixelBus(port, calibration.motors, _tolerated_misses(file.safety)),
        calibration,
        registers(table.joints),
    )


def _tolerated_misses(safety: SafetyTable) -> int:
    """One above the supervisor's limit, whose message is better."""
    return safety.stale_ticks + 2
