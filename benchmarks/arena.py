"""Where policies are compared: something to learn from, and worlds to be tried in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ebt_recipes.batch import Batch
from ebt_recipes.chunk_model import ChunkModel
from ebt_recipes.normalise import Statistics
from ebt_recipes.recipe import Recipe


@dataclass(frozen=True)
class Tried:
    """How the rollouts of one policy went."""

    succeeded: list[bool]
    """By seed."""
    steps_used: float
    """Mean of the sampler's steps over all plans."""


class Lessons(Protocol):
    """Demonstrations as training batches."""

    def statistics(self) -> Statistics: ...

    def training_batch(self, step: int) -> Batch:
        """Of one update; depends on the recipe's seed and the step alone."""
        ...


class Arena(Protocol):
    """One task."""

    name: str
    multimodal: bool

    def recipe(self, objective: Mapping[str, Any], **sections: Mapping[str, Any]) -> Recipe:
        """What all objectives share here; `sections` override."""
        ...

    def lessons(self, recipe: Recipe) -> Lessons: ...

    def network(self, recipe: Recipe, lessons: Lessons) -> ChunkModel:
        """Untrained."""
        ...

    def roll_out(self, recipe: Recipe, model: ChunkModel, seeds: Sequence[int], steps: int | None) -> Tried:
        """Once on each seed; `steps` of the sampler at most, None: the recipe's."""
        ...
