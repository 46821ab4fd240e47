"""Success by task, objective and descent steps: one network, one encoding, one execution for all.

    .venv/bin/python -m benchmarks.policies.compare [--tasks fork peg_insert sort] [--seeds 3] [--out policies.json]

Every policy is tried at equal updates and at equal training time: from one run, as it stood after `--updates` and when
it had trained for as long as the energy needs for those. The learning rate is constant after the warm-up and the weights
are averaged, so that a run may be cut anywhere. Seeds of rollouts begin at 100000, where nothing was ever tuned; tuning
used seeds below 10000. A task that is meant to have several ways counts only where regression succeeds in at most 60 %.
"""

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

from benchmarks.policies.methods import METHODS, OURS
from benchmarks.table import head, line
from benchmarks.worlds.arena import Arena
from benchmarks.worlds.registry import ARENAS
from ebt_data.files.atomic_files import write_whole
from ebt_recipes.loop.interval import wilson
from ebt_recipes.loop.rollouts import worker_pool
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.objective_recipe import DescentRecipe
from ebt_recipes.training.learner import Learner

FIRST_SEED = 100_000
WORTH_COMPILING = 500
"""Updates; all methods alike, and the compiler's time is nobody's training time."""
ADAPTIVE, MOST_STEPS = 0.5, 8
"""Root mean square of the slope after which an adaptive plan ends, chosen on tuning seeds, and the steps it may take."""


COLUMNS = ("1", "2", "4", "9", "10", "100", "adaptive")


@dataclass(frozen=True)
class Job:
    """One training, and everything that is measured on it."""

    task: str
    method: str
    seed: int
    updates: int
    time_s: float
    """Training time to measure at, too; 0: only at the updates."""
    rollouts: int


@dataclass(frozen=True)
class Cell:
    """One policy at one moment of its training, sampled with so many steps."""

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
    """As the job had it."""


def run(job: Job) -> list[Cell]:
    """Train to both cuts, then try every number of steps."""
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
        begun_s = time.process_time()
        learner.update(batch, done=0.0)
        trained_s += time.process_time() - begun_s
        for cut, reached in (("updates", learner.step >= job.updates), ("time", trained_s >= job.time_s > 0)):
            if reached and cut not in cuts:
                averaged = copy.deepcopy(learner.averaged.state_dict())
                cuts[cut] = (learner.step, trained_s, averaged)
    cells = []
    model = learner.averaged.eval().requires_grad_(False)
    for cut, (updates, train_s, weights) in cuts.items():
        model.load_state_dict(weights)
        for name in sampling(job.method):
            for steps in METHODS[name].steps:
                cells.append(try_out(job, name, arena, model, (cut, updates, train_s), steps))
    return cells


def sampling(trained: str) -> list[str]:
    """The methods that sample the networks of this one."""
    return [name for name, method in METHODS.items() if trained in (name, method.weights)]


def try_out(
    job: Job, name: str, arena: Arena, model: ChunkModel, cut: tuple[str, int, float], steps: int | None
) -> Cell:
    """Roll one policy out; `cut` is its name, and the updates and seconds of training behind it."""
    recipe = arena.recipe(METHODS[name].objective)
    objective = recipe.objective
    if steps is None:
        assert isinstance(objective, DescentRecipe), f"{name} does not end by itself"
        tolerance = objective.tolerance or ADAPTIVE
        recipe = recipe.model_copy(update={"objective": objective.model_copy(update={"tolerance": tolerance})})
    seeds = range(FIRST_SEED, FIRST_SEED + job.rollouts)
    tried = arena.roll_out(recipe, model, seeds, MOST_STEPS if steps is None else steps)
    return Cell(
        task=job.task,
        method=name,
        seed=job.seed,
        cut=cut[0],
        updates=cut[1],
        train_s=cut[2],
        steps="adaptive" if steps is None else str(steps),
        successes=sum(tried.succeeded),
        rollouts=job.rollouts,
        steps_used=tried.steps_used,
        time_s=job.time_s,
    )


class Book:
    """The cells so far, in a file if there is one: a comparison takes hours, and goes on where it was stopped."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.cells: list[Cell] = []
        if path is not None and path.exists():
            self.cells = [Cell(**cell) for cell in json.loads(path.read_text())["cells"]]

    def of(self, job: Job) -> list[Cell]:
        """What this very job gave; nothing if it was run with other updates, rollouts or time."""
        names = sampling(job.method)
        wanted = (job.task, job.seed, job.rollouts, job.time_s)
        found = [c for c in self.cells if c.method in names and (c.task, c.seed, c.rollouts, c.time_s) == wanted]
        as_asked = any(c.cut == "updates" and c.updates == job.updates for c in found)
        return found if as_asked else []

    def add(self, cells: Sequence[Cell]) -> None:
        self.cells += cells
        if self.path is not None:
            lines = ",\n".join(json.dumps(asdict(cell)) for cell in self.cells)  # a line a cell, for whoever compares
            write_whole(self.path, f'{{"torch": "{torch.__version__}", "cells": [\n{lines}\n]}}\n')


def run_all(jobs: Sequence[Job], workers: int, book: Book) -> list[Cell]:
    """Side by side, one thread each; what the book has isn't run again."""
    with worker_pool(workers) as pool:
        for done in as_completed([pool.submit(run, job) for job in jobs if not book.of(job)]):
            book.add(done.result())
            last = book.cells[-1]
            sys.stderr.write(f"{last.task}, {last.method}, seed {last.seed}: {last.train_s:.0f} s\n")
    return [cell for job in jobs for cell in book.of(job)]


def show(task: str, cells: Sequence[Cell]) -> None:
    """One task's two tables on stdout, in Markdown."""
    for cut in ("updates", "time"):
        # What the others' time was measured by has no second cut, and is shown in both.
        some = [cell for cell in cells if cell.cut == cut or cell.method in sampling(OURS)]
        if not any(cell.cut == cut for cell in some):
            continue
        columns = [steps for steps in COLUMNS if any(cell.steps == steps for cell in some)]
        sys.stdout.write(head([f"{task}, equal {cut}", "updates", *columns, "by training seed"]))
        for method in dict.fromkeys(cell.method for name in METHODS for cell in some if cell.method == name):
            own = [cell for cell in some if cell.method == method]
            by_steps = {steps: [cell for cell in own if cell.steps == steps] for steps in columns}
            most = next(found for found in reversed(by_steps.values()) if found)
            shares = (100 * cell.successes / cell.rollouts for cell in sorted(most, key=lambda cell: cell.seed))
            updates = sum(cell.updates for cell in own) // len(own)
            seeds = " / ".join(f"{share:.0f}" for share in shares)
            sys.stdout.write(line([method, str(updates), *map(rate, by_steps.values()), seeds]))
    sys.stdout.flush()


def rate(cells: Sequence[Cell]) -> str:
    """Success in percent over all trainings with its interval, and the mean steps where a plan ends by itself."""
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
    parser.add_argument("--methods", nargs="*", default=trained, choices=trained, help="beside the energy")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each")
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--rollouts", type=int, default=200, help="of each training and number of steps")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="keep the figures here as JSON, and go on from those that it has")
    asked = parser.parse_args()
    book = Book(asked.out)
    for task in asked.tasks:
        jobs = [
            Job(task, method, seed, asked.updates, 0.0, asked.rollouts)
            for method in dict.fromkeys([OURS, *asked.methods])
            for seed in range(asked.seeds)
        ]
        ours = run_all([job for job in jobs if job.method == OURS], asked.workers, book)
        time_s = max(cell.train_s for cell in ours)
        rest = [replace(job, time_s=time_s) for job in jobs if job.method != OURS]
        show(task, ours + run_all(rest, asked.workers, book))


if __name__ == "__main__":
    main()
