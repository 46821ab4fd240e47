"""Each joint's zero, direction and range: the only code above the bus that uses ticks.

A calibration is a TOML file next to its bench file, `<bench>.calibration/<arm>.<version>.toml`. It is never
overwritten: calibrating again writes the next version, so that an episode's snapshot can always be found.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ebt_data.errors import ConfigError
from ebt_data.step import Joints
from ebt_hardware.device import Ticks
from ebt_hardware.motors.control_table import RAD_PER_TICK, RAD_S_PER_VELOCITY, load_table


class JointCalibration(BaseModel):
    """One joint's motor and the conversion from its ticks to radians."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int = Field(ge=0, le=252)
    model: str
    """As ROBOTIS spells it, e.g. `XL430-W250`."""
    sign: Literal[1, -1] = 1
    """-1 where the joint turns opposite to its motor."""
    zero: int = 2048
    """Ticks at 0 rad."""
    low: float
    """Rad, the end of the calibrated range."""
    high: float

    @model_validator(mode="after")
    def _range_and_model(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must lie below high ({self.high})")
        try:
            load_table(self.model)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self


@dataclass(frozen=True)
class Calibration:
    """An arm's joints in the order of its motors, and the conversion between motor units and SI."""

    joints: Mapping[str, JointCalibration]

    def radians(self, position: Ticks) -> Joints:
        """[J] rad from present positions [J]."""
        return (self._sign * (position - self._zero) * RAD_PER_TICK).astype(np.float32)

    def ticks(self, position: Joints) -> Ticks:
        """[J] goal positions from [J] rad."""
        return np.rint(self._sign * position.astype(np.float64) / RAD_PER_TICK + self._zero).astype(np.int32)

    def velocity(self, units: Ticks) -> Joints:
        """[J] rad/s."""
        return (self._sign * units * RAD_S_PER_VELOCITY).astype(np.float32)

    def effort(self, units: Ticks) -> Joints:
        """[J] A, or fraction of stall on models that only report their load."""
        return (self._sign * units * self._effort_scale).astype(np.float32)

    @property
    def motors(self) -> dict[int, str]:
        """Motor id to model, in joint order."""
        return {joint.id: joint.model for joint in self.joints.values()}

    @cached_property
    def low(self) -> Joints:
        """[J] rad."""
        return np.array([joint.low for joint in self.joints.values()], np.float32)

    @cached_property
    def high(self) -> Joints:
        """[J] rad."""
        return np.array([joint.high for joint in self.joints.values()], np.float32)

    @cached_property
    def hash(self) -> str:
        """Hash of the content; equal for equal content."""
        text = json.dumps([[name, *joint.model_dump().items()] for name, joint in self.joints.items()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def snapshot(self) -> dict[str, Any]:
        """The copy stored in every episode; plain JSON values."""
        joints = {name: joint.model_dump() for name, joint in self.joints.items()}
        return {"hash": self.hash, "joints": joints}

    @cached_property
    def _sign(self) -> NDArray[np.int64]:
        return np.array([joint.sign for joint in self.joints.values()], np.int64)

    @cached_property
    def _zero(self) -> NDArray[np.int64]:
        return np.array([joint.zero for joint in self.joints.values()], np.int64)

    @cached_property
    def _effort_scale(self) -> NDArray[np.float64]:
        return np.array([load_table(joint.model).effort_scale for joint in self.joints.values()])


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    arm: str
    version: int
    hash: str
    joints: dict[str, JointCalibration]


def load_calibration(folder: Path, arm: str) -> Calibration:
    """Read the newest version of an arm's calibration.

    Raises:
        ConfigError: there is none, it cannot be read, or it was changed after it was written.
    """
    versions = _versions(folder, arm)
    if not versions:
        raise ConfigError(
            f"arm {arm!r} has no calibration in {folder}",
            hint="write one as described in docs/safety.md under Calibration",
        )
    path = versions[max(versions)]
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    calibration = Calibration(file.joints)
    if calibration.hash != file.hash:
        raise ConfigError(
            f"{path} was changed after it was written: its content hashes to {calibration.hash},"
            f" the file has {file.hash}",
            hint="undo the change, or calibrate again; a wrong zero moves an arm violently",
        )
    return calibration


def save_calibration(calibration: Calibration, folder: Path, arm: str) -> Path:
    """Write the next version; older ones stay. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    version = max(_versions(folder, arm), default=0) + 1
    lines = [
        "# Written by ebt; calibrate again instead of editing: a wrong zero moves an arm violently.",
        f"arm = {json.dumps(arm)}",
        f"version = {version}",
        f"hash = {json.dumps(calibration.hash)}",
        "",
        "[joints]",
    ]
    for name, joint in calibration.joints.items():
        row = ", ".join(f"{key} = {json.dumps(value)}" for key, value in joint.model_dump().items())
        lines.append(f"{json.dumps(name)} = {{ {row} }}")
    path = folder / f"{arm}.{version:04d}.toml"
    with path.open("x", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def _versions(folder: Path, arm: str) -> dict[int, Path]:
    versions = {}
    for path in folder.glob("*.toml"):
        name, _, version = path.stem.rpartition(".")
        if name == arm and version.isdecimal():
            versions[int(version)] = path
    return versions
