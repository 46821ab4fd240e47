"""A task of the twin as an arena: demonstrations through leader arm and motors, rollouts through the product's loop.

Observations are privileged poses without images, on the bench `twin_state`.
"""

import fcntl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.uncertainty.detectors import DetectorScorer
from benchmarks.uncertainty.failures import Case
from benchmarks.worlds import twin_rollouts
from benchmarks.worlds.arena import RolloutStats
from benchmarks.worlds.rollout_results import RATE_HZ, RetriedRollouts, ScoredRollouts
from benchmarks.worlds.twin_rollouts import TWIN_DISTURBANCES, MakeScoredPolicy
from ebt_data.errors import HardwareError
from ebt_data.reading.episode import list_episodes
from ebt_data.step import Outcome, Step
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.recording import Hooks, Limits, record_episode
from ebt_recipes.loop.rollouts import Trial
from ebt_recipes.model.batch import Observations
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.objectives.build import build_model
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.recipe import Recipe, parse_recipe
from ebt_recipes.retry.retry import RetryRules, Rule
from ebt_recipes.training.checkpoint import Contract, Run
from ebt_recipes.training.dataset import Dataset
from ebt_recipes.uncertainty.monitor import Trigger

BENCH = "twin_state"
DEMONSTRATIONS = 200
PLAN_S = 0.05
"""Latency of every plan, whatever its steps: the slowest, DDPM with 100, needs 39 ms (docs/benchmarks/speed.md)."""
RETRY_MAX_S = 60.0
"""Time limit where retries are compared, with and without: alarm, back-off and attempt take 10 to 15 s each time."""
FOLDER = Path("data/benchmarks")
PRIVILEGED: Mapping[str, tuple[str, ...]] = {
    "pick_place": ("cube", "bin", "cube_from_hand", "bin_from_hand"),
    "peg_insert": ("peg", "peg_from_hand", "socket_0_from_hand", "socket_1_from_hand"),
}


class TwinTrainingData(Dataset):
    """Implements `TrainingData` with the product's dataset."""

    def sample_observations(self, count: int) -> Observations:
        return self.batch(self.evenly_spaced_rows(count)).observations


class TwinArena:
    """Implements `Arena`."""

    def __init__(self, task: str, multimodal: bool = False) -> None:
        self.task = task
        self.name = f"twin {task}"
        self.multimodal = multimodal
        self.disturbances = tuple(TWIN_DISTURBANCES)
        self._table = load_bench(BENCH).with_task(task)
        self._spec = self._table.spec
        self._recipe: Recipe | None = None
        self._statistics: Statistics | None = None

    def recipe(self, objective: Mapping[str, Any], **sections: Mapping[str, Any]) -> Recipe:
        shared: dict[str, Any] = {
            "name": self.task,
            "task": self.task,
            "objective": {"forecast_weight": 0.0, **objective},
            "encoder": {"zoom_state": 0.01},
            "observe": {"cameras": (), "privileged": PRIVILEGED[self.task]},
            "act": {"horizon": 8, "execute": 4},
            "training": {"batch": 64, "shards": 1, "warmup_steps": 100, "ema": 0.995},
        }
        for name, values in sections.items():
            shared[name] = {**shared.get(name, {}), **values}
        return parse_recipe(shared, self.name)

    def training_data(self, recipe: Recipe) -> TwinTrainingData:
        folder = FOLDER / self.task
        arguments = ("--bench", BENCH, "--task", self.task, "-n", str(DEMONSTRATIONS), "--out", str(folder))
        FOLDER.mkdir(parents=True, exist_ok=True)
        with (FOLDER / f"{self.task}.lock").open("w") as lock:  # trainings run in parallel
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run(
                [sys.executable, "-m", "ebt_cli", "collect", *arguments], check=True, stdout=subprocess.DEVNULL
            )
        return TwinTrainingData(recipe, list_episodes(folder)[:DEMONSTRATIONS])

    def network(self, recipe: Recipe, training_data: TwinTrainingData) -> ChunkModel:
        self._recipe, self._statistics = recipe, training_data.statistics()
        return build_model(recipe, (), len(self._spec.joints), self._statistics)

    def roll_out(self, recipe: Recipe, model: ChunkModel, seeds: Sequence[int], steps: int | None) -> RolloutStats:
        run = self._run(recipe, model, steps)
        results = [self._try(run, seed, steps) for seed in seeds]
        sampler_steps = [n_steps for _, counts in results for n_steps in counts]
        return RolloutStats([success for success, _ in results], sum(sampler_steps) / len(sampler_steps))

    def roll_out_scored(self, scorer: DetectorScorer, case: Case, retry_time: bool = False) -> ScoredRollouts:
        trial = self._trial(scorer, RETRY_MAX_S if retry_time else self._table.longest_s)
        return twin_rollouts.roll_out_scored(trial, case)

    def rules(self, rule: Rule, retries: int, go_on: bool) -> RetryRules:
        return RetryRules(retries=retries, rule=rule, go_on=go_on)

    def retry(
        self, scorer: DetectorScorer, case: Case, triggers: Sequence[Trigger], rules: RetryRules
    ) -> RetriedRollouts:
        return twin_rollouts.retry(self._trial(scorer, RETRY_MAX_S), case, triggers, rules)

    def _trial(self, scorer: DetectorScorer, max_seconds: float) -> Trial:
        assert self._spec.rate_hz == RATE_HZ, "all tasks here have one rate"
        assert self._recipe is not None, "a network comes before its rollouts"
        make = MakeScoredPolicy(self._run(self._recipe, scorer.plan_sampler.model, None), scorer)
        return Trial(BENCH, make, Limits(max_seconds), task=self.task)

    def _run(self, recipe: Recipe, model: ChunkModel, steps: int | None) -> Run:
        """A run as if loaded from a file; a plan takes one tick with any number of steps."""
        assert self._statistics is not None, "a network comes before its rollouts"
        spec, default_steps = self._spec, recipe.objective.default_steps
        latency_s = PLAN_S * min(1.0, default_steps / max(steps or default_steps, 1))
        recipe = recipe.model_copy(update={"act": recipe.act.model_copy(update={"latency_s": latency_s})})
        contract = Contract(spec.joints, {}, spec.rate_hz, PRIVILEGED[self.task], task=self.task, bench=BENCH, sim=True)
        return Run(Path(self.name), recipe, contract, self._statistics, model, step=0)

    def _try(self, run: Run, seed: int, steps: int | None) -> tuple[bool, list[int]]:
        """Whether the rollout succeeded, and the sampler steps of each plan."""
        steps_taken: list[Step] = []
        try:
            with self._table.open() as bench:
                policy = EnergyPolicy(run, bench.spec, seed=seed, steps=steps, score="jump")
                limits = Limits(self._table.longest_s)
                success = record_episode(bench, policy, seed, limits, Hooks(), (1, 1), steps_taken.append).outcome
        except HardwareError:  # a motor that overloads against the table is a failure
            success = Outcome.FAILURE
        return success is Outcome.SUCCESS, [step.decision.steps_used for step in steps_taken if step.decision.trace]
