"""Times one plan, and one training update, against alternatives.

    .venv/bin/python -m benchmarks.speed.plans_and_updates [--out speed.json]

Plans: batch 1, one thread, from images to chunk, against samplers of the same network that need no energy; all eager,
then all compiled. Updates: the recipe's batch, on all cores, against the standard way to train an energy's slope, an
eager double backward; with cameras, and from joints alone. Weights are untrained and data random: time does not depend
on them. Rounds are interleaved, so that other processes on the machine affect all alike."""

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ebt_recipes.model.batch import Batch, Observations
from ebt_recipes.model.energy import EnergyModel
from ebt_recipes.model.normalization import MeanStd, Statistics
from ebt_recipes.model.transformer import ChunkTransformer
from ebt_recipes.objectives.sampler import GradientDescent
from ebt_recipes.recipe import Recipe, load_recipe
from ebt_recipes.training.learner import Learner

JOINTS, CAMERAS, LEVELS = 6, ("top", "wrist"), 100
Field = Callable[[Tensor, Tensor, Tensor], Tensor]
Sampler = Callable[[Tensor], Tensor]
Times = dict[str, tuple[float, float]]
"""Processor and wall time in ms by name."""


def flow(field: Field, context: Tensor, x: Tensor, steps: int) -> Tensor:
    """Euler steps along a velocity field from noise at 0 to data at 1 (arXiv 2210.02747)."""
    for step in range(steps):
        x = x + field(x, context, torch.full((len(x),), step / steps)) / steps
    return x


def cosine_levels(count: int) -> Tensor:
    """Cumulative signal [count + 1], 1 first (arXiv 2102.09672, equation 17)."""
    at = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    signal = torch.cos((at + 0.008) / 1.008 * math.pi / 2).square()
    return (signal / signal[0]).clamp(min=1e-5).float()


def ddim(field: Field, context: Tensor, x: Tensor, steps: int) -> Tensor:
    """Deterministic jumps between noise levels (arXiv 2010.02502, equation 12 with sigma 0)."""
    signal = cosine_levels(LEVELS)
    for now, then in torch.linspace(LEVELS, 0, steps + 1).round().long().unfold(0, 2, 1).tolist():
        noise = field(x, context, torch.full((len(x),), now / LEVELS))
        clean = (x - (1 - signal[now]).sqrt() * noise) / signal[now].sqrt()
        x = signal[then].sqrt() * clean.clamp(-3, 3) + (1 - signal[then]).sqrt() * noise
    return x


def ddpm(field: Field, context: Tensor, x: Tensor, steps: int) -> Tensor:
    """Every noise level in turn, with fresh noise at each (arXiv 2006.11239, algorithm 2, clean chunk clipped)."""
    signal = cosine_levels(steps)
    for now in range(steps, 0, -1):
        kept = signal[now] / signal[now - 1]
        noise = field(x, context, torch.full((len(x),), now / steps))
        clean = ((x - (1 - signal[now]).sqrt() * noise) / signal[now].sqrt()).clamp(-3, 3)
        mean = signal[now - 1].sqrt() * (1 - kept) * clean + kept.sqrt() * (1 - signal[now - 1]) * x
        spread = ((1 - kept) * (1 - signal[now - 1]) / (1 - signal[now])).sqrt()
        x = mean / (1 - signal[now]) + spread * torch.randn_like(x)
    return x


class AutogradEnergy(EnergyModel):
    """Computes the slope with autograd and a double backward."""

    def gradient(self, context_BCD: Tensor, x_BHJ: Tensor) -> tuple[Tensor, Tensor]:
        """Energy [B] and slope [B, H, J]."""
        x_BHJ = x_BHJ.detach().requires_grad_()
        energy = self.energy(context_BCD, x_BHJ)
        (slope,) = torch.autograd.grad(energy.sum(), x_BHJ, create_graph=True)
        return energy, slope


class Bfloat16Energy(EnergyModel):
    """Computes the slope in bfloat16 where autocast allows it."""

    def gradient(self, context_BCD: Tensor, x_BHJ: Tensor) -> tuple[Tensor, Tensor]:
        """Energy [B] and slope [B, H, J]."""
        with torch.autocast("cpu", torch.bfloat16):
            energy, slope = super().gradient(context_BCD, x_BHJ)
        return energy.float(), slope.float()


def make_model(
    recipe: Recipe, kind: type[EnergyModel] = EnergyModel, cameras: tuple[str, ...] = CAMERAS
) -> EnergyModel:
    """An untrained model of the recipe's size."""
    unit = MeanStd(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    shape = (recipe.act.horizon, JOINTS)
    chunk = MeanStd(np.zeros(shape, np.float32), np.ones(shape, np.float32))
    return kind(recipe, cameras, JOINTS, Statistics({name: unit for name in recipe.observe.joints}, chunk))


def build(recipe: Recipe, compiled: bool) -> tuple[EnergyModel, dict[str, Sampler]]:
    """The energy model, and samplers from a context to a chunk, all of the same width and depth."""
    shape = (recipe.act.horizon, JOINTS)
    model = make_model(recipe).eval().requires_grad_(False)
    network = ChunkTransformer(recipe.model, *shape, outputs=JOINTS, timed=True).eval().requires_grad_(False)
    field: Field = network
    if compiled:
        model.encoder.forward = torch.compile(model.encoder.forward)  # type: ignore[method-assign]
        model.core = torch.compile(model.core)
        model.body.forward = torch.compile(model.body.forward)  # type: ignore[method-assign]
        field = torch.compile(network)
    start = torch.randn(1, *shape)
    descent = GradientDescent(recipe.objective.step_sizes)
    return model, {
        "energy, 2 steps": lambda context: descent.run(model, context, start, 2).x,
        "energy, 3 steps": lambda context: descent.run(model, context, start, 3).x,
        "energy, 4 steps": lambda context: descent.run(model, context, start, 4).x,
        "flow, 1 step": lambda context: flow(field, context, start, 1),
        "DDIM, 10 steps": lambda context: ddim(field, context, start, 10),
        "DDPM, 100 steps": lambda context: ddpm(field, context, start, 100),
    }


def encode_and_sample(model: EnergyModel, sampler: Sampler, observations: Observations) -> Tensor:
    """One plan, encoder included."""
    return sampler(model.encode(observations))


def measure(jobs: dict[str, Callable[[], object]], rounds: int) -> Times:
    """Median processor and wall time in ms of each job, over interleaved rounds."""
    durations: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for turn in range(rounds + 2):
        for name, job in jobs.items():
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            job()
            if turn >= 2:  # the first two warm caches, or compile
                durations[name].append((time.process_time() - cpu_s, time.perf_counter() - wall_s))
    return {
        name: tuple(1e3 * statistics.median(column) for column in zip(*rows, strict=True))
        for name, rows in durations.items()
    }


def observe(recipe: Recipe, rows: int = 1, cameras: tuple[str, ...] = CAMERAS) -> Observations:
    """Random observations."""
    side = recipe.encoder.image_size
    images = {name: torch.randint(0, 256, (rows, side, side, 3), dtype=torch.uint8) for name in cameras}
    return Observations(images, {name: torch.randn(rows, JOINTS) for name in recipe.observe.joints}, {})


def time_plans(recipe: Recipe, compiled: bool, rounds: int) -> Times:
    """Medians by name, on one thread."""
    torch.set_num_threads(1)
    model, samplers = build(recipe, compiled)
    observations = observe(recipe)
    with torch.no_grad():
        context = model.encode(observations)
        jobs: dict[str, Callable[[], object]] = {"encoder": partial(model.encode, observations)}
        for name, sampler in samplers.items():
            jobs[name] = partial(sampler, context)
            jobs[f"encoder + {name}"] = partial(encode_and_sample, model, sampler, observations)
        return measure(jobs, rounds)


def time_updates(recipe: Recipe, cameras: tuple[str, ...], rounds: int) -> Times:
    """Medians by name, with one thread per core."""
    torch.set_num_threads(os.cpu_count() or 1)
    rows = recipe.training.batch
    observations = observe(recipe, rows, cameras)
    batch = Batch(
        observations,
        torch.randn(rows, recipe.act.horizon, JOINTS),
        torch.ones(rows, recipe.act.horizon),
        torch.zeros(rows, JOINTS),
    )
    jobs: dict[str, Callable[[], object]] = {}
    for name, kind, shards, compiled in (
        ("double backward", AutogradEnergy, 1, False),
        ("slope written out", EnergyModel, 1, False),
        ("in shards", EnergyModel, recipe.training.shards, False),
        ("in shards, compiled", EnergyModel, recipe.training.shards, True),
        ("in shards, compiled, bfloat16", Bfloat16Energy, recipe.training.shards, True),
    ):
        training = recipe.training.model_copy(update={"shards": shards})
        changed = recipe.model_copy(update={"training": training})
        learner = Learner(changed, make_model(changed, kind, cameras))
        if compiled and (why := learner.compile()):
            sys.stderr.write(f"{name}: {why}\n")
            continue
        jobs[name] = partial(learner.update, batch, 0.5)
    return measure(jobs, rounds)


def print_table(title: str, times: Times, base: str) -> None:
    """Write a table to stdout, with ratios to one of its rows."""
    sys.stdout.write(f"\n{title:<38}{'cpu ms':>9}{'wall ms':>9}   {base} is\n")
    for name, (cpu, wall) in times.items():
        ratio = f"{times[base][0] / cpu:.2g} x cpu, {times[base][1] / wall:.2g} x wall"
        sys.stdout.write(f"{name:<38}{cpu:>9.2f}{wall:>9.2f}   {ratio}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--recipe", default="pick_place")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    recipe = load_recipe(args.recipe)
    torch.manual_seed(0)
    results = {
        "plan, eager": time_plans(recipe, False, args.rounds),
        "plan, compiled": time_plans(recipe, True, args.rounds),
        "update, two cameras": time_updates(recipe, CAMERAS, args.rounds),
        "update, joints alone": time_updates(recipe, (), args.rounds),
    }
    for title, times in results.items():
        print_table(title, times, "DDPM, 100 steps" if title.startswith("plan") else "double backward")
    if args.out:
        facts = {
            "recipe": recipe.name,
            "rounds": args.rounds,
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "machine": platform.processor() or platform.machine(),
            "median_ms": {
                title: {name: {"cpu": cpu, "wall": wall} for name, (cpu, wall) in times.items()}
                for title, times in results.items()
            },
        }
        args.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
