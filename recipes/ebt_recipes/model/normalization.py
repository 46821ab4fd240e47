"""Mean and spread of joints and chunks, so that the network sees numbers about one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation, of one shape."""

    mean: Values
    std: Values

    @classmethod
    def of(cls, values: Values, floor: float) -> "Spread":
        """Over the first axis; no deviation is taken below `floor`."""
        wide = values.astype(np.float64)
        std = np.maximum(wide.std(axis=0), floor)
        return cls(wide.mean(axis=0).astype(np.float32), std.astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Spread":
        return cls(np.array(table["mean"], dtype=np.float32), np.array(table["std"], dtype=np.float32))


@dataclass(frozen=True)
class Statistics:
    """Of the training episodes; part of a run's contract."""

    inputs: Mapping[str, Spread]
    """By name: `position`, `velocity`, `effort` [J], and privileged poses [7]."""
    chunk: Spread
    """[J] of the chunk, relative to the pose where the recipe says so; one for all ticks, so that the first, which an arm
    under way all but decides, do not count as much as the last."""

    def to_json(self) -> dict[str, Any]:
        inputs = {name: spread.to_json() for name, spread in self.inputs.items()}
        return {"inputs": inputs, "chunk": self.chunk.to_json()}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Statistics":
        inputs = {name: Spread.from_json(spread) for name, spread in table["inputs"].items()}
        return cls(inputs, Spread.from_json(table["chunk"]))
