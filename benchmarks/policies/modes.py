"""Share of each objective's samples that lies at a mode of a distribution with two modes, whose mean is at neither.

    .venv/bin/python -m benchmarks.policies.modes [--seeds 3] [--out modes.json]

One observed number determines the chunk but for a random sign: both modes share their first joint and differ in the
second, least at the first tick, most at the last. A sample counts as at a mode where its root mean square distance to
one is below .15; the demonstrations' standard deviation is .05, the distance between the modes 2. An objective takes
about a minute per seed."""

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.policies.methods import METHODS, Method
from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.objectives.build import build_model
from ebt_recipes.recipe import Recipe, parse_recipe
from ebt_recipes.training.learner import Learner

HORIZON, JOINTS = 8, 2
UPDATES, BATCH, SAMPLES = 1000, 64, 1000
STEPS = (1, 2, 4, 10, 30)
NEAR, SPREAD = 0.15, 0.05
RAMP = torch.linspace(0.2, 1.5, HORIZON)


def make_recipe(method: Method, seed: int) -> Recipe:
    """The recipe of a method; network and optimiser are shared."""
    return parse_recipe(
        {
            "name": "modes",
            "objective": {**method.objective, "forecast_weight": 0.0},
            "model": {"width": 64, "layers": 2, **method.sections.get("model", {})},
            "encoder": {"zoom_rad": 0.0},
            "act": {"horizon": HORIZON, "relative": False},
            "training": {"shards": 1, "warmup_steps": 50, "ema": 0.99, "seed": seed},
        },
        "modes",
    )


def two_ways(rows: int, seed: int) -> tuple[Batch, Tensor]:
    """Demonstrations, and the mean of their two modes [B, H, J]."""
    generator = torch.Generator().manual_seed(seed)
    place = 2 * torch.rand(rows, 1, generator=generator) - 1
    side = 2.0 * torch.randint(0, 2, (rows, 1), generator=generator) - 1
    shared = torch.sin(2 * place) * torch.linspace(0, 1, HORIZON)
    middle = torch.stack([shared, torch.zeros(rows, HORIZON)], dim=2)
    chunk = torch.stack([shared, side * RAMP], dim=2)
    chunk = chunk + SPREAD * torch.randn(chunk.shape, generator=generator)
    observations = Observations({}, {"position": torch.cat([place, torch.zeros(rows, 1)], dim=1)}, {})
    return Batch(observations, chunk, torch.ones(rows, HORIZON), torch.zeros(rows, JOINTS)), middle


def at_modes(chunk: Tensor, middle: Tensor) -> tuple[float, float]:
    """Shares of chunks that are near the upper and near the lower mode."""
    off = torch.stack([torch.zeros(HORIZON), RAMP], dim=1)
    near = [(chunk - middle - way * off).square().mean(dim=(1, 2)).sqrt() < NEAR for way in (1, -1)]
    return float(near[0].float().mean()), float(near[1].float().mean())


def learn(recipe: Recipe) -> Learner:
    """Train on fresh demonstrations every update."""
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = build_model(recipe, (), JOINTS, Statistics({"position": unit}, unit))
    learner = Learner(recipe, model)
    for step in range(UPDATES):
        learner.update(two_ways(BATCH, seed=recipe.training.seed * UPDATES + step)[0], step / UPDATES)
    return learner


def measure(method: Method, seed: int) -> dict[int, tuple[float, float]]:
    """Shares at either mode, by steps."""
    learner = learn(make_recipe(method, seed))
    batch, middle = two_ways(SAMPLES, seed=10**6)
    with torch.no_grad():
        context = learner.averaged.encode(batch.observations)
    shares = {}
    for steps in STEPS:
        samples = learner.objective.sample(learner.averaged, context, steps, torch.Generator().manual_seed(10**6))
        shares[steps] = at_modes(samples.x, middle)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), help="only these rows")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(f"{'at a mode, % (seeds apart)':<28}" + "".join(f"{f'{n} steps':>18}" for n in STEPS) + "\n")
    results = {}
    for name in args.methods:
        rows = [measure(METHODS[name], seed) for seed in range(args.seeds)]
        cells = ["/".join(f"{100 * sum(row[steps]):.0f}" for row in rows) for steps in STEPS]
        sys.stdout.write(f"{name:<28}" + "".join(f"{cell:>18}" for cell in cells) + "\n")
        sys.stdout.flush()
        results[name] = rows
    if args.out:
        facts = {"torch": torch.__version__, "machine": platform.machine(), "updates": UPDATES, "shares": results}
        args.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
