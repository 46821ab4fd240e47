"""How large a demo is: the full one, and the quick one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    demonstrations: int
    train_s: float
    rollouts: int
    calibrate: int
    controls: int
    """Rollouts for each control."""
    disturbed: int
    """Paired seeds."""
    disk_mb: int
    """What all of it takes, and half as much again."""
    budget: str


FULL = Size(200, 480, 50, 100, 20, 20, 220, "collect at most 5 min, train at most 10 min, roll out at most 5 min")
QUICK = Size(30, 40, 10, 4, 2, 2, 50, "about 2 min in all")
