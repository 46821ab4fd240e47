"""Bench files as typed tables: the arms, cameras and limits of a bench."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, PrivateAttr, field_validator

from ebt_data.step import BenchSpec
from ebt_hardware.config.bench_tables import CameraTable, FollowerJoint, LeaderJoint, SafetyTable, Table
from ebt_hardware.twin.tasks.registry import DEFAULT_TASK, check_name, find_task, task_label

TIME_LIMIT_S = 30.0  # on real arms


class FollowerTable(Table):
    """An arm that follows actions."""

    joints: dict[str, FollowerJoint] = Field(min_length=1)


class LeaderTable(Table):
    """An arm that the operator moves."""

    leads: str
    """The follower's name."""
    joints: dict[str, LeaderJoint] = Field(min_length=1)


class PortTable(Table):
    """The serial port of an arm's motors."""

    port: Path
    """A path that does not change when replugged, from /dev/serial/by-id."""
    baudrate: PositiveInt = 1_000_000


class SerialFollower(FollowerTable, PortTable):
    """A follower on a serial port."""


class SerialLeader(LeaderTable, PortTable):
    """A leader on a serial port."""


class RealCameraTable(CameraTable):
    """A RealSense camera."""

    serial: str
    """As printed on the camera and by `ebt doctor`."""


class BenchFile(Table):
    """The keys that every bench file has."""

    rate_hz: PositiveFloat
    """Ticks per second."""
    task: str = ""
    """The task in a few words; on the twin the task's name."""
    safety: SafetyTable = SafetyTable()

    _name: str = PrivateAttr("bench")
    _path: Path | None = PrivateAttr(None)
    _reference: str = PrivateAttr("")
    """The value of `--bench`, a name or a path; for hints."""

    @property
    def reference(self) -> str:
        """The value of `--bench`, or the bench's name."""
        return self._reference or self._name

    @property
    def name(self) -> str:
        """The file's name without `.toml`."""
        return self._name

    @property
    def longest_s(self) -> float:
        """The default time limit of a demonstration or rollout."""
        return TIME_LIMIT_S

    @property
    def disturbances(self) -> tuple[str, ...]:
        """Names of the disturbances that can be triggered; none on real arms."""
        return ()

    def with_task(self, task: str) -> Self:
        """The same bench with another task; on real arms any text."""
        return self.model_copy(update={"task": task})

    @property
    def calibration_folder(self) -> Path:
        """Next to the file: `koch.toml` has its calibrations in `koch.calibration/`."""
        return (self._path or Path(f"{self._name}.toml")).with_suffix(".calibration")

    def _spec(
        self, arms: Mapping[str, FollowerTable], cameras: Mapping[str, CameraTable], sim: bool, lockstep: bool
    ) -> BenchSpec:
        joints = [
            joint if len(arms) == 1 else f"{arm}/{joint}" for arm, table in arms.items() for joint in table.joints
        ]
        camera_specs = {name: camera.spec for name, camera in cameras.items()}
        return BenchSpec(
            self.name,
            tuple(joints),
            camera_specs,
            self.rate_hz,
            sim,
            task_label(self.task) if sim else self.task,
            lockstep,
        )


class TwinFile(BenchFile):
    """The digital twin: MuJoCo physics with emulated motors and software cameras."""

    kind: Literal["twin"]
    task: str = DEFAULT_TASK
    """One of `registry.TASKS`; only a flag may name another file, since it is executed."""
    clock: Literal["lockstep", "wall"] = "lockstep"
    """`lockstep`: simulated time that waits for slow parts. `wall`: real time, over ptys, in a separate process."""
    cameras: dict[str, CameraTable] = Field(default_factory=dict)
    followers: dict[str, FollowerTable] = Field(min_length=1, max_length=1)
    leaders: dict[str, LeaderTable] = Field(default_factory=dict)

    @field_validator("task")
    @classmethod
    def _task_is_known(cls, task: str) -> str:
        return check_name(task)

    @property
    def longest_s(self) -> float:
        """The task's own limit."""
        return find_task(self.task).longest_s

    @property
    def disturbances(self) -> tuple[str, ...]:
        """Those that the task has."""
        return find_task(self.task).disturbances

    def with_task(self, task: str) -> Self:
        """The same bench with another task: a name, or the path of a file, which is executed.

        Raises:
            ConfigError: there is no such task.
        """
        find_task(task)
        return super().with_task(task)

    @property
    def spec(self) -> BenchSpec:
        return self._spec(self.followers, self.cameras, sim=True, lockstep=self.clock == "lockstep")


class DynamixelFile(BenchFile):
    """Real arms on serial ports, real cameras."""

    kind: Literal["dynamixel"]
    rate_hz: PositiveFloat = 50.0
    cameras: dict[str, RealCameraTable] = Field(default_factory=dict)
    followers: dict[str, SerialFollower] = Field(min_length=1, max_length=2)
    leaders: dict[str, SerialLeader] = Field(default_factory=dict)

    @property
    def spec(self) -> BenchSpec:
        return self._spec(self.followers, self.cameras, sim=False, lockstep=False)
