"""Insert a standing peg into either of two equal sockets: most first tries hit a rim. Gripped by friction only."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from ebt_hardware.twin.scene import GRIPPER_OPEN_RAD
from ebt_hardware.twin.tasks.goal import Goal
from ebt_hardware.twin.tasks.motions import Phase, close_gripper, is_near, move_to, position_and_yaw, wander
from ebt_hardware.twin.tasks.push import Push, Pusher
from ebt_hardware.twin.tasks.task import Demonstration, HandTarget, View

PEG_HALF_M, PEG_HEIGHT_M = 0.011, 0.056
FOOT_M = 0.022  # the heavy, smooth lower part, which keeps the peg upright; the fingers hold the upper part
FIELD_X_M, FIELD_Y_M = (0.15, 0.26), (-0.03, 0.08)  # 11 cm x 11 cm, between the sockets
MAX_YAW_RAD = 0.3  # the peg's yaw is at most this
SOCKETS_M = ((0.21, 0.165), (0.21, -0.115))
SOCKET_BOUNDS_M = (
    ((0.17, 0.26), (0.135, 0.20)),
    ((0.15, 0.26), (-0.13, -0.09)),
)  # limits of each socket's centre, x and y
HOLE_HALF_M = 0.015
SOCKET_HALF_M, SOCKET_HEIGHT_M = 0.034, 0.024
GRASP_M = 0.034  # above the peg's bottom: the fingers stay clear of the rim around an inserted peg
CARRY_M = 0.075  # of the grasp point while carrying: the peg's bottom clears the rims
LIFTED_M, INSERTED_M = 0.035, 0.008  # heights of the peg's bottom
SQUEEZE_RAD = 0.05  # gripper goal around a peg that stops it at 0.3
RELEASED_RAD = 0.55
PUSH_N_S_M, PUSH_LIMIT_N = 3.0, 1.5
PRESS_M = 0.010  # how far below its position the hand pushes: the operator touches the rim lightly
AIM_M = 0.005  # standard deviation of the peg's first touch-down


class PegInsert:
    """Implements `Task`.

    `knock` knocks the peg down and out of a grip, `nudge` pushes it a few centimetres sideways, and `move_goal` slides
    both sockets, each in its own direction.
    """

    longest_s = 15.0  # a demonstration takes three to six
    disturbances = ("knock", "nudge", "move_goal")

    def __init__(self) -> None:
        self._pusher = Pusher("peg", ("peg/head", "peg/foot"), PUSH_N_S_M)
        places = zip(SOCKETS_M, SOCKET_BOUNDS_M, strict=True)
        self._sockets = tuple(Goal(f"socket_{n}", home, *room) for n, (home, room) in enumerate(places))
        self._rng = np.random.default_rng(0)

    def xml(self) -> str:
        """A peg of 40 g, 22 mm square, and two sockets 30 mm square inside."""
        sockets = "".join(_socket_xml(number, *place) for number, place in enumerate(SOCKETS_M))
        foot, head = FOOT_M / 2, (PEG_HEIGHT_M - FOOT_M) / 2
        common = f'type="box" priority="1" condim="4" solref="0.006 1" size="{PEG_HALF_M} {PEG_HALF_M}'
        return f"""{sockets}
    <body name="peg" pos="0.2 -0.05 0"><freejoint name="peg"/>
      <geom name="peg/foot" {common} {foot}" pos="0 0 {foot}" mass="0.032" friction="0.35 0.01 0.001" rgba="0.93 0.75 0.10 1"/>
      <geom name="peg/head" {common} {head}" pos="0 0 {FOOT_M + head}" mass="0.008" friction="1.3 0.02 0.001" rgba="0.85 0.12 0.15 1"/>
    </body>"""

    def reset(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Stand the peg anywhere in the field at a small yaw; the sockets are at home."""
        yaw = rng.uniform(-MAX_YAW_RAD, MAX_YAW_RAD)
        joint = data.joint("peg")
        joint.qpos[:3] = rng.uniform(*FIELD_X_M), rng.uniform(*FIELD_Y_M), 0.0
        joint.qpos[3:] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
        joint.qvel[:] = 0.0
        self._pusher.reset(model, data)
        for socket in self._sockets:
            socket.reset(model, data)
        self._rng = np.random.default_rng(rng.integers(2**63))

    def before_step(self, model: mujoco.MjModel, data: mujoco.MjData, dt_s: float) -> None:
        """Apply the current push and slides, if any."""
        self._pusher.before_step(model, data, dt_s)
        for socket in self._sockets:
            socket.before_step(model, data, dt_s)

    def succeeded(self, data: mujoco.MjData) -> bool:
        """The peg stands at the bottom of a socket, upright and still, and the gripper has released it."""
        peg = data.body("peg")
        sockets = (data.body(socket.body).xpos[:2] for socket in self._sockets)
        inside = any(np.abs(peg.xpos[:2] - place).max() < HOLE_HALF_M - PEG_HALF_M + 0.002 for place in sockets)
        upright = bool(peg.xmat[8] > 0.99)
        still = float(np.linalg.norm(data.joint("peg").qvel[:3])) < 0.05
        free = bool(data.actuator("follower/gripper").length[0] > RELEASED_RAD)
        return inside and bool(peg.xpos[2] < 0.004) and upright and still and free

    def lifted(self, data: mujoco.MjData) -> bool:
        """The peg's bottom is well above the table and the rims."""
        return bool(data.joint("peg").qpos[2] > LIFTED_M)

    def privileged(self, data: mujoco.MjData) -> dict[str, NDArray[np.float32]]:
        """Poses [7] of the centre of the peg's bottom and of each hole's centre at table height."""
        sockets = {socket.body: socket.pose(data) for socket in self._sockets}
        return {"peg": data.joint("peg").qpos.astype(np.float32), **sockets}

    def disturb(self, data: mujoco.MjData, kind: str) -> None:
        """Start the disturbance, in a random direction."""
        if kind == "move_goal":
            for socket in self._sockets:
                socket.slide(self._rng)
            return
        angle = self._rng.uniform(-np.pi, np.pi)
        direction = np.array([np.cos(angle), np.sin(angle), 0.0])
        if kind == "knock":
            down = np.array([0.0, 0.0, -0.4])
            self._pusher.push(Push(down + 0.1 * direction, 0.25, PUSH_LIMIT_N, slippery=True))
        else:
            self._pusher.push(Push(0.2 * direction, 0.15, PUSH_LIMIT_N))

    def demonstrate(self, view: View, rng: np.random.Generator) -> Demonstration:
        """Fetch the peg, choose a socket, try until the peg is inserted, release it; start again if the peg is lost."""
        while _is_upright(view):  # a fallen peg cannot be gripped from above
            view = yield from _fetch(view, rng)
            socket = self._sockets[rng.integers(len(self._sockets))]
            view = yield from _carry(view, socket)
            view = yield from _insert(view, socket, rng)
            if _bottom_height(view) < INSERTED_M and _is_over(view, socket):
                release = HandTarget((float(view.grasp[0]), float(view.grasp[1]), GRASP_M), 0.0, GRIPPER_OPEN_RAD)
                while view.gripper < 1.0:
                    view = yield release
                yield from move_to(view, HandTarget((*release.position[:2], 0.11), 0.0, GRIPPER_OPEN_RAD), 0.02, 20)
                return


def _socket_xml(number: int, x: float, y: float) -> str:
    """Four walls around a square hole down to the table."""
    half, wall = SOCKET_HEIGHT_M / 2, (SOCKET_HALF_M - HOLE_HALF_M) / 2
    centre = HOLE_HALF_M + wall
    walls = (
        (wall, SOCKET_HALF_M, centre, 0.0),
        (wall, SOCKET_HALF_M, -centre, 0.0),
        (HOLE_HALF_M, wall, 0.0, centre),
        (HOLE_HALF_M, wall, 0.0, -centre),
    )
    geoms = "".join(
        f'<geom type="box" size="{sx} {sy} {half}" pos="{px} {py} {half}" rgba="0.25 0.45 0.75 1"/>'
        for sx, sy, px, py in walls
    )
    floor = f'<geom type="box" size="{HOLE_HALF_M} {HOLE_HALF_M} 0.0005" pos="0 0 0.0005" rgba="0.08 0.08 0.1 1"/>'
    return f'<body name="socket_{number}" mocap="true" pos="{x} {y} 0">{geoms}{floor}</body>'


def _fetch(view: View, rng: np.random.Generator) -> Phase:
    """Make detours over the field, go down around the peg's head, close, and lift."""
    yaw = _peg(view)[1]
    view = yield from wander(view, rng, FIELD_X_M, FIELD_Y_M, yaw)
    peg, yaw = _peg(view)
    start = peg[:2] + rng.normal(0, 0.010, 2)  # operators do not arrive exactly above
    view = yield from move_to(view, HandTarget((*start, rng.uniform(0.08, 0.10)), yaw, GRIPPER_OPEN_RAD), 0.015, 200)
    peg, yaw = _peg(view)
    x, y = float(peg[0]), float(peg[1])
    view = yield from move_to(view, HandTarget((x, y, GRASP_M), yaw, GRIPPER_OPEN_RAD, careful=True), 0.004, 60)
    view = yield from close_gripper(view, HandTarget((x, y, GRASP_M), yaw, SQUEEZE_RAD, careful=True))
    return (yield from move_to(view, HandTarget((x, y, CARRY_M), yaw, SQUEEZE_RAD), 0.015, 40))


def _carry(view: View, socket: Goal) -> Phase:
    """Bring the peg over the socket, turned like it, for as long as the peg comes along."""
    while _bottom_height(view) > 0.01 and not is_near(view, over := _above(socket.position, CARRY_M), 0.015):
        view = yield over
    return view


def _insert(view: View, socket: Goal, rng: np.random.Generator) -> Phase:
    """Come down at the estimated place; from the rim lift a little, slide nearer, and try again."""
    aim_error = rng.normal(0, AIM_M, 2)
    for _ in range(8):
        view = yield from _press(view, socket, aim_error)
        if _bottom_height(view) < INSERTED_M or not _is_over(view, socket):
            break
        off = _peg(view)[0][:2] - socket.position
        aim = socket.position + aim_error - 0.5 * off
        aim_error = aim_error - 0.9 * off + rng.normal(0, 0.0015, 2)
        for _ in range(4):
            view = yield _above(aim, GRASP_M + SOCKET_HEIGHT_M + 0.004, careful=True)
    return view


def _press(view: View, socket: Goal, aim_error: NDArray[np.float64]) -> Phase:
    """Go down lightly, `aim_error` [2] m off the hole's centre, until the peg is inserted or rests for three ticks."""
    resting = 0
    for _ in range(60):
        before = _bottom_height(view)
        low = max(GRASP_M - 0.004, float(view.grasp[2]) - PRESS_M)
        view = yield _above(socket.position + aim_error, low, careful=True)
        stopped = _bottom_height(view) < SOCKET_HEIGHT_M + 0.004 and abs(_bottom_height(view) - before) < 0.0008
        resting = resting + 1 if stopped else 0
        if resting >= 3:
            break
    return view


def _above(place: NDArray[np.float64], height_m: float, careful: bool = False) -> HandTarget:
    """Over `place` [2] m with the peg in the grip, turned like the sockets."""
    return HandTarget((float(place[0]), float(place[1]), height_m), 0.0, SQUEEZE_RAD, careful)


def _bottom_height(view: View) -> float:
    """Height of the peg's bottom above the table, m."""
    return float(_peg(view)[0][2])


def _is_over(view: View, socket: Goal) -> bool:
    return bool(np.abs(_peg(view)[0][:2] - socket.position).max() < SOCKET_HALF_M)


def _is_upright(view: View) -> bool:
    x, y = view.objects["peg"][4:6]
    return bool(1 - 2 * (x * x + y * y) > 0.9)


def _peg(view: View) -> tuple[NDArray[np.float64], float]:
    """Position [3] m of the centre of the peg's bottom and the yaw of a pair of its faces, rad."""
    return position_and_yaw(view.objects["peg"])
