"""Where policies are compared: something to learn from, and worlds to be tried, watched and helped in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.uncertainty.detectors import FeatureEncoder
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.watched import Retried, Watched
from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.recipe import Recipe
from ebt_recipes.retry.retry import RetryRules, Rule
from ebt_recipes.uncertainty.monitor import Trigger


@dataclass(frozen=True)
class Tried:
    """How the rollouts of one policy went."""

    succeeded: list[bool]
    """By seed."""
    steps_used: float
    """Mean of the sampler's steps over all plans."""


class TrainingData(Protocol):
    """Demonstrations as training batches."""

    def statistics(self) -> Statistics: ...

    def training_batch(self, step: int) -> Batch:
        """Of one update; depends on the recipe's seed and the step alone."""
        ...

    def shown(self, count: int) -> Observations:
        """About so many of the demonstrated observations, from all over."""
        ...


class Arena(Protocol):
    """One task."""

    name: str
    multimodal: bool
    disturbances: tuple[str, ...]
    """What can be done to it, as `failures.py` names it."""

    def recipe(self, objective: Mapping[str, Any], **sections: Mapping[str, Any]) -> Recipe:
        """What all objectives share here; `sections` override."""
        ...

    def training_data(self, recipe: Recipe) -> TrainingData: ...

    def network(self, recipe: Recipe, training_data: TrainingData) -> ChunkModel:
        """Untrained."""
        ...

    def roll_out(self, recipe: Recipe, model: ChunkModel, seeds: Sequence[int], steps: int | None) -> Tried:
        """Once on each seed; `steps` of the sampler at most, None: the recipe's."""
        ...

    def watch(self, eyes: FeatureEncoder, case: Case, retried: bool = False) -> Watched:
        """Once on each seed, with every score of `eyes`; `retried`: with the time that retries are compared in."""
        ...

    def rules(self, rule: Rule, retries: int, go_on: bool) -> RetryRules:
        """The product's, in this task's lengths and speeds."""
        ...

    def retry(self, eyes: FeatureEncoder, case: Case, triggers: Sequence[Trigger], rules: RetryRules) -> Retried:
        """The same with retries, begun by a trigger for each seed."""
        ...
