"""An episode's metadata, known before its first row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EpisodeMeta:
    """Who records what, where and with which settings; kept as attributes of the file."""

    kind: str
    """`demo` where an operator or a script acts, `rollout` where a policy does; only a rollout has `/energy`."""
    task: str
    """In a few words, or the twin's task name."""
    seed: int | None = None
    """Seed of the scene; None where it cannot be reproduced."""
    operator: str = ""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Snapshot of the bench's calibration, as JSON can hold it."""
    bench: str = ""
    """Name or path of the bench file."""
    policy: str = ""
    """The run that acted, for a rollout."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version by package name."""
