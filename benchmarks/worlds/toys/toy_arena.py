"""A toy as an arena of the benchmarks."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.uncertainty.detectors import FeatureEncoder
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds.arena import Tried
from benchmarks.worlds.toys.learning import DEMONSTRATION_SEED, DEMONSTRATIONS, ToyTrainingData, toy_recipe
from benchmarks.worlds.toys.retried import retry, retry_rules
from benchmarks.worlds.toys.rollout import roll_out
from benchmarks.worlds.toys.toy import Toy, demonstrations
from benchmarks.worlds.toys.watched import watch
from benchmarks.worlds.watched import Retried, Watched
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.objectives.build import build_model, build_objective
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.recipe import Recipe
from ebt_recipes.retry.retry import RetryRules, Rule
from ebt_recipes.uncertainty.monitor import Trigger

RETRIED = 2
"""Times as long where retries are compared, with and without, as on the twin: else time is up before a second try."""


class ToyArena:
    """Implements `Arena`."""

    def __init__(self, toy: type[Toy]) -> None:
        self.toy = toy
        self._patient = type(f"Patient{toy.__name__}", (toy,), {"longest": RETRIED * toy.longest})
        self.name = toy.name
        self.multimodal = toy.multimodal
        self.disturbances = toy.disturbances

    def recipe(self, objective: Mapping[str, Any], **sections: Mapping[str, Any]) -> Recipe:
        return toy_recipe(self.toy, objective, **sections)

    def training_data(self, recipe: Recipe) -> ToyTrainingData:
        return ToyTrainingData(recipe, demonstrations(self.toy, DEMONSTRATIONS, DEMONSTRATION_SEED))

    def network(self, recipe: Recipe, training_data: ToyTrainingData) -> ChunkModel:
        return build_model(recipe, (), self.toy.joints, training_data.statistics())

    def roll_out(self, recipe: Recipe, model: ChunkModel, seeds: Sequence[int], steps: int | None) -> Tried:
        plan_sampler = PlanSampler(model, build_objective(recipe.objective), recipe.act)
        found = roll_out(self.toy, plan_sampler, seeds, steps, recipe.observe.past_actions)
        return Tried(found.succeeded.tolist(), found.steps_used)

    def watch(self, eyes: FeatureEncoder, case: Case, retried: bool = False) -> Watched:
        return watch(self._patient if retried else self.toy, eyes, case)

    def rules(self, rule: Rule, retries: int, go_on: bool) -> RetryRules:
        return retry_rules(self._patient, rule, retries, go_on)

    def retry(self, eyes: FeatureEncoder, case: Case, triggers: Sequence[Trigger], rules: RetryRules) -> Retried:
        return retry(self._patient, eyes, case, triggers, rules)
