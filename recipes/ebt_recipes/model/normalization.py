"""Mean and standard deviation of inputs and chunks, which scale the network's inputs to about one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True)
class MeanStd:
    """Mean and standard deviation, of one shape."""

    mean: Values
    std: Values

    @classmethod
    def of(cls, values: Values, floor: float) -> "MeanStd":
        """Over the first axis; `floor` is the lower bound of the deviation."""
        wide = values.astype(np.float64)
        std = np.maximum(wide.std(axis=0), floor)
        return cls(wide.mean(axis=0).astype(np.float32), std.astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "MeanStd":
        return cls(np.array(table["mean"], dtype=np.float32), np.array(table["std"], dtype=np.float32))


@dataclass(frozen=True)
class Statistics:
    """Statistics of the training episodes; part of a run's contract."""

    inputs: Mapping[str, MeanStd]
    """By name: `position`, `velocity`, `effort` [J], and privileged poses [7]."""
    chunk: MeanStd
    """[J] of the chunk, relative to the pose if the recipe says so. Shared by all ticks, so that the first ticks, which
    the arm's motion nearly determines, have less weight than the last."""

    def to_json(self) -> dict[str, Any]:
        inputs = {name: item.to_json() for name, item in self.inputs.items()}
        return {"inputs": inputs, "chunk": self.chunk.to_json()}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Statistics":
        inputs = {name: MeanStd.from_json(item) for name, item in table["inputs"].items()}
        return cls(inputs, MeanStd.from_json(table["chunk"]))
