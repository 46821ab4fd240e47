"""The interface of a benchmark task: training data, rollouts, rollouts with scores, and rollouts with retries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.uncertainty.detectors import DetectorScorer
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.rollout_results import RetriedRollouts, ScoredRollouts
from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.recipe import Recipe
from ebt_recipes.retry.retry import RetryRules, Rule
from ebt_recipes.uncertainty.monitor import Trigger


@dataclass(frozen=True)
class RolloutStats:
    """Results of one policy's rollouts."""

    succeeded: list[bool]
    """By seed."""
    steps_used: float
    """Mean of the sampler's steps over all plans."""


class TrainingData(Protocol):
    """Demonstrations as training batches."""

    def statistics(self) -> Statistics: ...

    def training_batch(self, step: int) -> Batch:
        """The batch of one update; depends only on the recipe's seed and the step."""
        ...

    def sample_observations(self, count: int) -> Observations:
        """About `count` demonstrated observations from all demonstrations."""
        ...


class Arena(Protocol):
    """One task."""

    name: str
    multimodal: bool
    disturbances: tuple[str, ...]
    """Disturbances it supports, by their names in `failures.py`."""

    def recipe(self, objective: Mapping[str, Any], **sections: Mapping[str, Any]) -> Recipe:
        """The recipe that all objectives share here; `sections` override."""
        ...

    def training_data(self, recipe: Recipe) -> TrainingData: ...

    def network(self, recipe: Recipe, training_data: TrainingData) -> ChunkModel:
        """An untrained network."""
        ...

    def roll_out(self, recipe: Recipe, model: ChunkModel, seeds: Sequence[int], steps: int | None) -> RolloutStats:
        """One rollout per seed; `steps` of the sampler at most, None: the recipe's."""
        ...

    def roll_out_scored(self, scorer: DetectorScorer, case: Case, retry_time: bool = False) -> ScoredRollouts:
        """One rollout per seed, with every score of `scorer`; `retry_time`: with the time limit of retries."""
        ...

    def rules(self, rule: Rule, retries: int, go_on: bool) -> RetryRules:
        """The product's retry rules, in this task's lengths and speeds."""
        ...

    def retry(
        self, scorer: DetectorScorer, case: Case, triggers: Sequence[Trigger], rules: RetryRules
    ) -> RetriedRollouts:
        """One rollout per seed with retries, each with its own trigger."""
        ...
