"""Success by task, objective and descent steps: one network, one encoding, one execution for all.

    .venv/bin/python -m benchmarks.policies.compare [--tasks fork peg_insert sort] [--seeds 3] [--out policies.json]

Every policy is evaluated at equal updates and at equal training time, from one run: after `--updates`, and when it has
trained for the time that the energy needs for them. The learning rate is constant after the warm-up and the weights
are averaged, so that a run can be cut at any update. Seeds of rollouts start at 100000, where nothing was tuned;
tuning used seeds below 10000. A multimodal task counts only where regression succeeds in at most 60 %."""

import argparse
import copy
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.policies.methods import ENERGY, METHODS
from benchmarks.table import head, line
from benchmarks.worlds.arena import Arena
from benchmarks.worlds.registry import ARENAS
from ebt_data.files.atomic_files import write_atomic
from ebt_recipes.loop.interval import wilson
from ebt_recipes.loop.rollouts import worker_pool
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.objective_recipe import DescentRecipe
from ebt_recipes.training.learner import Learner

FIRST_SEED = 100_000
WORTH_COMPILING = 500
"""Updates from which every method is compiled; compile time does not count as training time."""
ADAPTIVE, MOST_STEPS = 0.5, 8
"""Root mean square of the slope at which an adaptive plan stops, chosen on tuning seeds, and its most steps."""


COLUMNS = ("1", "2", "4", "9", "10", "100", "adaptive")


@dataclass(frozen=True)
class Job:
    """One training and its evaluation."""

    task: str
    method: str
    seed: int
    updates: int
    time_s: float
    """Training time at which to evaluate as well; 0: only at the updates."""
    rollouts: int


@dataclass(frozen=True)
class Cell:
    """Results of one policy at one point of its training, with one number of sampler steps."""

    task: str
    method: str
    seed: int
    cut: str
    """`updates` or `time`."""
    updates: int
    train_s: float
    steps: str
    successes: int
    rollouts: int
    steps_used: float
    time_s: float
    """Of the job."""


def train_and_evaluate(job: Job) -> list[Cell]:
    """Train to both cuts, then evaluate every number of steps."""
    arena, method = ARENAS[job.task](), METHODS[job.method]
    training = {"seed": job.seed, "shards": 1}
    recipe = arena.recipe(method.objective, training=training, **method.sections)
    training_data = arena.training_data(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        learner = Learner(recipe, arena.network(recipe, training_data))
    if job.updates >= WORTH_COMPILING:
        learner.compile()
    cuts: dict[str, tuple[int, float, Mapping[str, Tensor]]] = {}
    trained_s = 0.0
    while len(cuts) < (2 if job.time_s else 1):
        batch = training_data.training_batch(learner.step)
        start_s = time.process_time()
        learner.update(batch, done=0.0)
        trained_s += time.process_time() - start_s
        for cut, reached in (("updates", learner.step >= job.updates), ("time", trained_s >= job.time_s > 0)):
            if reached and cut not in cuts:
                averaged = copy.deepcopy(learner.averaged.state_dict())
                cuts[cut] = (learner.step, trained_s, averaged)
    cells = []
    model = learner.averaged.eval().requires_grad_(False)
    for cut, (updates, train_s, weights) in cuts.items():
        model.load_state_dict(weights)
        for name in methods_sampling(job.method):
            for steps in METHODS[name].steps:
                cells.append(evaluate(job, name, arena, model, (cut, updates, train_s), steps))
    return cells


def methods_sampling(trained: str) -> list[str]:
    """The methods that sample with the network of this one."""
    return [name for name, method in METHODS.items() if trained in (name, method.weights)]


def evaluate(
    job: Job, name: str, arena: Arena, model: ChunkModel, cut: tuple[str, int, float], steps: int | None
) -> Cell:
    """Roll one policy out; `cut` is its name, its updates and its seconds of training."""
    recipe = arena.recipe(METHODS[name].objective)
    objective = recipe.objective
    if steps is None:
        assert isinstance(objective, DescentRecipe), f"{name} has no adaptive number of steps"
        tolerance = objective.tolerance or ADAPTIVE
        recipe = recipe.model_copy(update={"objective": objective.model_copy(update={"tolerance": tolerance})})
    seeds = range(FIRST_SEED, FIRST_SEED + job.rollouts)
    stats = arena.roll_out(recipe, model, seeds, MOST_STEPS if steps is None else steps)
    return Cell(
        task=job.task,
        method=name,
        seed=job.seed,
        cut=cut[0],
        updates=cut[1],
        train_s=cut[2],
        steps="adaptive" if steps is None else str(steps),
        successes=sum(stats.succeeded),
        rollouts=job.rollouts,
        steps_used=stats.steps_used,
        time_s=job.time_s,
    )


class ResultFile:
    """The cells so far, kept in a file where one is given: a comparison takes hours and resumes from it."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.cells: list[Cell] = []
        if path is not None and path.exists():
            self.cells = [Cell(**cell) for cell in json.loads(path.read_text())["cells"]]

    def cells_of(self, job: Job) -> list[Cell]:
        """Cells of this job; none if it was run with other updates, rollouts or time."""
        names = methods_sampling(job.method)
        key = (job.task, job.seed, job.rollouts, job.time_s)
        matches = [c for c in self.cells if c.method in names and (c.task, c.seed, c.rollouts, c.time_s) == key]
        complete = any(c.cut == "updates" and c.updates == job.updates for c in matches)
        return matches if complete else []

    def add(self, cells: Sequence[Cell]) -> None:
        self.cells += cells
        if self.path is not None:
            lines = ",\n".join(json.dumps(asdict(cell)) for cell in self.cells)  # one line per cell, for diffs
            write_atomic(self.path, f'{{"torch": "{torch.__version__}", "cells": [\n{lines}\n]}}\n')


def run_all(jobs: Sequence[Job], workers: int, results: ResultFile) -> list[Cell]:
    """Run the jobs in parallel, one thread each; jobs that have results are skipped."""
    with worker_pool(workers) as pool:
        for done in as_completed([pool.submit(train_and_evaluate, job) for job in jobs if not results.cells_of(job)]):
            results.add(done.result())
            cell = results.cells[-1]
            sys.stderr.write(f"{cell.task}, {cell.method}, seed {cell.seed}: {cell.train_s:.0f} s\n")
    return [cell for job in jobs for cell in results.cells_of(job)]


def print_tables(task: str, cells: Sequence[Cell]) -> None:
    """Write one task's two tables to stdout, in Markdown."""
    for cut in ("updates", "time"):
        # The energy sets the training time of the others: it has one cut, which both tables show.
        shown_cells = [cell for cell in cells if cell.cut == cut or cell.method in methods_sampling(ENERGY)]
        if not any(cell.cut == cut for cell in shown_cells):
            continue
        columns = [steps for steps in COLUMNS if any(cell.steps == steps for cell in shown_cells)]
        sys.stdout.write(head([f"{task}, equal {cut}", "updates", *columns, "by training seed"]))
        for method in dict.fromkeys(cell.method for name in METHODS for cell in shown_cells if cell.method == name):
            method_cells = [cell for cell in shown_cells if cell.method == method]
            by_steps = {steps: [cell for cell in method_cells if cell.steps == steps] for steps in columns}
            most = next(matches for matches in reversed(by_steps.values()) if matches)
            shares = (100 * cell.successes / cell.rollouts for cell in sorted(most, key=lambda cell: cell.seed))
            updates = sum(cell.updates for cell in method_cells) // len(method_cells)
            seeds = " / ".join(f"{share:.0f}" for share in shares)
            sys.stdout.write(line([method, str(updates), *map(rate, by_steps.values()), seeds]))
    sys.stdout.flush()


def rate(cells: Sequence[Cell]) -> str:
    """Success in percent over all trainings with its interval, and the mean steps where they are adaptive."""
    if not cells:
        return ""
    successes, rollouts = sum(cell.successes for cell in cells), sum(cell.rollouts for cell in cells)
    low, high = wilson(successes, rollouts)
    used = f", {sum(cell.steps_used for cell in cells) / len(cells):.1f}" if cells[0].steps == "adaptive" else ""
    return f"{100 * successes / rollouts:.1f} ({100 * low:.0f}-{100 * high:.0f}){used}"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=list(ARENAS), choices=list(ARENAS))
    trained = [name for name, method in METHODS.items() if not method.weights]
    parser.add_argument("--methods", nargs="*", default=trained, choices=trained, help="in addition to the energy")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each method")
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--rollouts", type=int, default=200, help="of each training and number of steps")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="keep the figures here as JSON, and resume from those that it has")
    args = parser.parse_args()
    results = ResultFile(args.out)
    for task in args.tasks:
        jobs = [
            Job(task, method, seed, args.updates, 0.0, args.rollouts)
            for method in dict.fromkeys([ENERGY, *args.methods])
            for seed in range(args.seeds)
        ]
        energy_cells = run_all([job for job in jobs if job.method == ENERGY], args.workers, results)
        time_s = max(cell.train_s for cell in energy_cells)
        other_jobs = [replace(job, time_s=time_s) for job in jobs if job.method != ENERGY]
        print_tables(task, energy_cells + run_all(other_jobs, args.workers, results))


if __name__ == "__main__":
    main()
