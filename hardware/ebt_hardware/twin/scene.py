"""The bench as MuJoCo primitives: table, follower, leader and cameras. No meshes, so that nothing is downloaded."""

from ebt_hardware.twin.kinematics import FOREARM_M, HAND_M, SHOULDER_HEIGHT_M, UPPER_ARM_M

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
FINGER_TRAVEL_M_PER_RAD = 0.025  # rack and pinion: both fingers move this far for a radian of the gripper motor
GRIPPER_OPEN_RAD = 1.4
LEADER_Y_M = -0.55  # the leader stands beside the follower, outside both cameras' view

# rad; generous, the bench file's limits are tighter
RANGES = {
    "shoulder_pan": (-2.4, 2.4),
    "shoulder_lift": (-1.9, 1.9),
    "elbow_flex": (-0.1, 2.7),
    "wrist_flex": (-0.9, 2.4),
    "wrist_roll": (-2.4, 2.4),
}


def arm_xml(name: str, y: float, rgba: str, touch: bool) -> str:
    """One arm as a body tree. `touch` makes its hand and fingers collide; links never do."""
    collide = 'contype="1" conaffinity="1"' if touch else 'contype="0" conaffinity="0"'
    no_collision = 'contype="0" conaffinity="0"'

    def hinge(joint: str, axis: str, damping: float) -> str:
        low, high = RANGES[joint]
        return (
            f'<joint name="{name}/{joint}" axis="{axis}" range="{low} {high}" damping="{damping}" armature="0.01"'
            f' frictionloss="0.02"/>'
        )

    def finger(side: str, sign: int) -> str:
        return f"""
            <body name="{name}/finger_{side}" pos="0 {sign * 0.004} {HAND_M - 0.03}">
              <joint name="{name}/finger_{side}" type="slide" axis="0 {sign} 0" range="-0.004 0.036" damping="2"
                armature="0.02"/>
              <geom type="box" size="0.008 0.003 0.03" pos="0 {sign * 0.003} 0" rgba="0.15 0.15 0.17 1" mass="0.008"
                {collide} friction="1.2 0.02 0.001" condim="4" solref="0.006 1"/>
            </body>"""

    return f"""
    <body name="{name}" pos="0 {y} 0">
      <geom type="cylinder" size="0.045 0.03" pos="0 0 0.03" rgba="{rgba}" {no_collision}/>
      <body name="{name}/turret" pos="0 0 {SHOULDER_HEIGHT_M}">
        {hinge("shoulder_pan", "0 0 1", 0.15)}
        <geom type="box" size="0.025 0.025 0.025" pos="0 0 -0.015" rgba="{rgba}" mass="0.06" {no_collision}/>
        <body name="{name}/upper_arm">
          {hinge("shoulder_lift", "0 1 0", 0.15)}
          <geom type="capsule" size="0.014" fromto="0 0 0 0 0 {UPPER_ARM_M}" rgba="{rgba}" mass="0.07" {no_collision}/>
          <body name="{name}/forearm" pos="0 0 {UPPER_ARM_M}">
            {hinge("elbow_flex", "0 1 0", 0.12)}
            <geom type="capsule" size="0.012" fromto="0 0 0 0 0 {FOREARM_M}" rgba="{rgba}" mass="0.05" {no_collision}/>
            <body name="{name}/wrist" pos="0 0 {FOREARM_M}">
              {hinge("wrist_flex", "0 1 0", 0.06)}
              <geom type="box" size="0.013 0.016 0.02" pos="0 0 0.02" rgba="{rgba}" mass="0.025" {no_collision}/>
              <body name="{name}/hand">
                {hinge("wrist_roll", "0 0 1", 0.03)}
                <geom type="box" size="0.012 0.036 0.008" pos="0 0 0.052" rgba="0.25 0.25 0.28 1" mass="0.025" {collide}/>
                <site name="{name}/grasp" pos="0 0 {HAND_M}" size="0.004" rgba="1 0 0 0"/>
                {wrist_camera_xml() if touch else ""}
                {finger("left", 1)}
                {finger("right", -1)}
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>"""


def wrist_camera_xml() -> str:
    """A camera on the hand that points past the finger tips; its z axis points away from the scene."""
    return '<camera name="wrist" pos="-0.055 0 0.03" xyaxes="0 -1 0 -0.9 0 0.44" fovy="75"/>'


def drive_xml(name: str, prefix: str, gains: dict[str, tuple[float, float, float]]) -> str:
    """Position servos of one arm: (stiffness Nm/rad, damping Nms/rad, stall torque Nm) by joint."""
    lines = []
    for joint in JOINTS:
        kp, kv, limit = gains[joint]
        target = f'tendon="{name}/gripper"' if joint == "gripper" else f'joint="{name}/{joint}"'
        lines.append(
            f'<general name="{prefix}{joint}" {target} biastype="affine" gainprm="{kp}" biasprm="0 -{kp} -{kv}"'
            f' forcerange="-{limit} {limit}"/>'
        )
    return "\n".join(lines)


def gripper_xml(name: str) -> tuple[str, str]:
    """Tendon and equality that tie both fingers to one motor; the tendon's length is the motor's angle in rad."""
    coefficient = 0.5 / FINGER_TRAVEL_M_PER_RAD
    tendon = (
        f'<fixed name="{name}/gripper"><joint joint="{name}/finger_left" coef="{coefficient}"/>'
        f'<joint joint="{name}/finger_right" coef="{coefficient}"/></fixed>'
    )
    equality = f'<joint joint1="{name}/finger_left" joint2="{name}/finger_right" polycoef="0 1 0 0 0"/>'
    return tendon, equality


# XL430-W250 stalls at 1.4 Nm (12 V), XL330-M288 at 0.52 Nm (5 V): ROBOTIS e-manual. The stiffness is a guess that gives
# the centimetre-per-half-metre sag of a printed arm.
_STRONG, _WEAK = 1.4, 0.52
MOTOR_GAINS = {
    "shoulder_pan": (30.0, 0.8, _STRONG),
    "shoulder_lift": (40.0, 1.0, _STRONG),
    "elbow_flex": (30.0, 0.7, _WEAK * 1.6),
    "wrist_flex": (15.0, 0.3, _WEAK),
    "wrist_roll": (8.0, 0.15, _WEAK),
    "gripper": (1.2, 0.03, _WEAK),
}
HAND_GAINS = {joint: (kp, kv, 10.0) for joint, (kp, kv, _) in MOTOR_GAINS.items()}


def bench_xml(objects: str) -> str:
    """The whole model; `objects` are the task's bodies."""
    follower = gripper_xml("follower")
    leader = gripper_xml("leader")
    return f"""
<mujoco model="ebt twin">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" integrator="implicitfast" cone="elliptic" impratio="10" iterations="20" ls_iterations="20"/>
  <visual><global offwidth="960" offheight="720"/><headlight ambient="0.45 0.45 0.45" diffuse="0.5 0.5 0.5" specular="0 0 0"/>
    <map znear="0.005"/><quality shadowsize="0"/></visual>
  <worldbody>
    <geom name="table" type="box" size="0.6 0.8 0.02" pos="0.15 -0.15 -0.02" rgba="0.82 0.80 0.76 1" friction="0.8 0.01 0.001"/>
    <camera name="top" pos="0.20 0.045 0.66" xyaxes="0 -1 0 1 0 0" fovy="36"/>
    <camera name="person" pos="0.75 -0.35 0.55" xyaxes="0.52 0.854 0 -0.42 0.256 0.87" fovy="40"/>
    {arm_xml("follower", 0.0, "0.86 0.45 0.16 1", touch=True)}
    {arm_xml("leader", LEADER_Y_M, "0.35 0.42 0.55 1", touch=False)}
    {objects}
  </worldbody>
  <tendon>{follower[0]}{leader[0]}</tendon>
  <equality>{follower[1]}{leader[1]}</equality>
  <actuator>
    {drive_xml("follower", "follower/", MOTOR_GAINS)}
    {drive_xml("leader", "leader/", MOTOR_GAINS)}
    {drive_xml("leader", "hand/", HAND_GAINS)}
  </actuator>
</mujoco>"""
