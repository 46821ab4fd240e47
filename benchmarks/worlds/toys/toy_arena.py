"""A toy as an arena of the benchmarks."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.uncertainty.detectors import DetectorScorer
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.arena import RolloutStats
from benchmarks.worlds.rollout_results import RetriedRollouts, ScoredRollouts
from benchmarks.worlds.toys.retry_rollout import retry, retry_rules
from benchmarks.worlds.toys.rollout import roll_out
from benchmarks.worlds.toys.scored_rollout import roll_out_scored
from benchmarks.worlds.toys.toy import Toy, demonstrations
from benchmarks.worlds.toys.training_data import DEMONSTRATION_SEED, DEMONSTRATIONS, ToyTrainingData, toy_recipe
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.objectives.build import build_model, build_objective
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.recipe import Recipe
from ebt_recipes.retry.retry import RetryRules, Rule
from ebt_recipes.uncertainty.monitor import Trigger

RETRY_TIME_FACTOR = 2
"""Factor of the time limit where retries are compared, as on the twin: else it ends before a second attempt."""


class ToyArena:
    """Implements `Arena`."""

    def __init__(self, toy: type[Toy]) -> None:
        self.toy = toy
        self._longer_toy = type(f"Longer{toy.__name__}", (toy,), {"longest": RETRY_TIME_FACTOR * toy.longest})
        self.name = toy.name
        self.multimodal = toy.multimodal
        self.disturbances = toy.disturbances

    def recipe(self, objective: Mapping[str, Any], **sections: Mapping[str, Any]) -> Recipe:
        return toy_recipe(self.toy, objective, **sections)

    def training_data(self, recipe: Recipe) -> ToyTrainingData:
        return ToyTrainingData(recipe, demonstrations(self.toy, DEMONSTRATIONS, DEMONSTRATION_SEED))

    def network(self, recipe: Recipe, training_data: ToyTrainingData) -> ChunkModel:
        return build_model(recipe, (), self.toy.joints, training_data.statistics())

    def roll_out(self, recipe: Recipe, model: ChunkModel, seeds: Sequence[int], steps: int | None) -> RolloutStats:
        plan_sampler = PlanSampler(model, build_objective(recipe.objective), recipe.act)
        result = roll_out(self.toy, plan_sampler, seeds, steps, recipe.observe.past_actions)
        return RolloutStats(result.succeeded.tolist(), result.steps_used)

    def roll_out_scored(self, scorer: DetectorScorer, case: Case, retry_time: bool = False) -> ScoredRollouts:
        return roll_out_scored(self._longer_toy if retry_time else self.toy, scorer, case)

    def rules(self, rule: Rule, retries: int, go_on: bool) -> RetryRules:
        return retry_rules(self._longer_toy, rule, retries, go_on)

    def retry(
        self, scorer: DetectorScorer, case: Case, triggers: Sequence[Trigger], rules: RetryRules
    ) -> RetriedRollouts:
        return retry(self._longer_toy, scorer, case, triggers, rules)
