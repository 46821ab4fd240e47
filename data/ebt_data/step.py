"""One tick of the bench: observation, requested action, sent action, and the policy's energy.

Shapes: J joints, H x W pixels. Units: radians, seconds, RGB. Times are on the bench clock, 0 at `Bench.reset`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Joints = NDArray[np.float32]  # [J] rad, in the order of BenchSpec.joints
Image = NDArray[np.uint8]  # [H, W, 3] RGB
Depth = NDArray[np.uint16]  # [H, W], times CameraSpec.depth_unit_m


class Actor(StrEnum):
    """What decided an action."""

    HUMAN = "human"
    POLICY = "policy"
    RETRY = "retry"  # the retry controller: holds or backs off
    REPLAY = "replay"


class Outcome(StrEnum):
    """How an episode ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    ABORTED = "aborted"  # ended early by the operator or a fault; the rows until then are kept


@dataclass(frozen=True)
class CameraSpec:
    """A camera's output, known before it is opened."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""
    rate_hz: float
    depth_unit_m: float | None = None
    """Metres per depth count; None where the camera records no depth."""


@dataclass(frozen=True)
class BenchSpec:
    """A bench's observations and actions, known before it is opened."""

    name: str
    joints: tuple[str, ...]
    """Every follower's joints in bench-file order, e.g. `shoulder_pan` or `left/shoulder_pan`; all in radians."""
    cameras: Mapping[str, CameraSpec]
    rate_hz: float
    """Ticks a second."""
    sim: bool
    """True on the digital twin; stamped into every file."""
    task: str = ""
    """A short description, or the twin's task name."""
    lockstep: bool = False
    """True if time is simulated and the clock waits for cameras and planner."""


@dataclass(frozen=True)
class Frame:
    """One camera frame and when it was taken."""

    image: Image
    number: int
    """The device's frame counter."""
    device_s: float
    """The device's timestamp, in `domain`."""
    domain: str
    """`hardware_clock`, `system_time` or `global_time`, as in the RealSense SDK; the twin uses `global_time`."""
    arrival_s: float
    """When the host received it, on the bench clock."""
    age_s: float
    """Age of the image when the tick began."""
    repeated: bool
    """True if the previous row has the same frame."""
    depth: Depth | None = None


@dataclass(frozen=True)
class MotorReading:
    """The status of one motor; motors are read in turn."""

    joint: int
    """Index in `BenchSpec.joints`."""
    temperature_c: float
    voltage_v: float
    """Supply voltage."""
    error_bits: int
    """Hardware Error Status, with ROBOTIS's bit numbers; 0 if there is no error."""


@dataclass(frozen=True)
class Observation:
    """All sensors, read within one tick."""

    time_s: float
    """When the tick began."""
    read_s: float
    """When the last motor had replied."""
    position: Joints
    velocity: Joints
    """[J] rad/s."""
    effort: Joints
    """[J] motor current in A; on models without a current sensor the load as a fraction of stall."""
    frames: Mapping[str, Frame]
    privileged: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Privileged state of the twin (object poses); fed to a policy only if its recipe lists it."""
    motors: tuple[MotorReading, ...] = ()
    """Readings since the previous observation."""


PAUSE = "pause"
"""The event of the first row after a pause of the recording."""


@dataclass(frozen=True)
class Event:
    """An entry of the episode's event log."""

    kind: str
    """E.g. `rise`, `hold`, `back_off`, `replan`, `resume`, `give_up`, `late`, `gap`, `pause`, `disturbance`, `mark`, `note`."""
    text: str = ""


@dataclass(frozen=True)
class Decision:
    """An agent's action for this tick, and its energy."""

    action: Joints
    actor: Actor
    energy: float = np.nan
    """Of the current plan given the observation it was sampled for; lower is more confident. NaN if the operator acts."""
    score: float = np.nan
    """The score compared with `threshold`: the energy, or another score."""
    threshold: float = np.nan
    """A score above it raises an alarm; NaN if none is calibrated."""
    scores: tuple[float, ...] = ()
    """Of a new plan, if several scores are monitored together; empty: only `score`. Not recorded."""
    steps_used: int = 0
    """Descent steps of the current plan."""
    trace: tuple[float, ...] = ()
    """Energy before the first and after every descent step; empty on ticks without a new plan."""
    plan_age_s: float = np.nan
    """Age of the observation that the plan was sampled for."""
    latency_s: float = np.nan
    """How long planning took."""
    attempt: int = 1
    events: tuple[Event, ...] = ()
    done: bool = False
    """The agent has finished or given up; the loop may end the episode."""


@dataclass(frozen=True)
class Step:
    """One row of an episode: observed, then sent."""

    observation: Observation
    decision: Decision
    """`decision.action` is the requested action."""
    sent: Joints
    """The action sent to the motors, after limits."""
    sent_s: float
    """When it was sent."""
    skipped: int = 0
    """Ticks missed since the previous row."""
    events: tuple[Event, ...] = ()
    """The decision's, the bench's and the operator's, in order."""
