"""Times one plan, from pictures to chunk, against samplers of the same network that need no energy.

    .venv/bin/python benchmarks/speed.py [--compile] [--out speed.json]

Batch 1, one thread, untrained weights (time does not depend on them). Rounds are interleaved, so that a neighbour on
the machine disturbs all alike; processor time hardly sees it at all.
"""

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebt_recipes.batch import Observations
from ebt_recipes.energy import EnergyModel
from ebt_recipes.transformer import ChunkTransformer
from ebt_recipes.normalise import Spread, Statistics
from ebt_recipes.recipe import Recipe, load_recipe
from ebt_recipes.sampler import GradientDescent

JOINTS, CAMERAS, LEVELS = 6, ("top", "wrist"), 100
Field = Callable[[Tensor, Tensor, Tensor], Tensor]
Sampler = Callable[[Tensor], Tensor]


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


def build(recipe: Recipe, compiled: bool) -> tuple[EnergyModel, dict[str, Sampler]]:
    """The energy model, and samplers from a context to a chunk: all of the same width and depth."""
    unit = Spread(np.zeros(JOINTS, np.float32), np.ones(JOINTS, np.float32))
    shape = (recipe.act.horizon, JOINTS)
    chunk = Spread(np.zeros(shape, np.float32), np.ones(shape, np.float32))
    spreads = Statistics({name: unit for name in recipe.observe.joints}, chunk)
    model = EnergyModel(recipe, CAMERAS, JOINTS, spreads).eval().requires_grad_(False)
    network = ChunkTransformer(recipe.model, *shape, outputs=JOINTS, timed=True).eval().requires_grad_(False)
    field: Field = network
    if compiled:
        model.encoder.forward = torch.compile(model.encoder.forward)  # type: ignore[method-assign]
        model.body.sum_and_slope = torch.compile(model.body.sum_and_slope)  # type: ignore[method-assign]
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


def both(model: EnergyModel, sampler: Sampler, seen: Observations) -> Tensor:
    """A whole plan."""
    return sampler(model.encode(seen))


def measure(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median processor and wall time in ms of each job, over interleaved rounds."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for turn in range(rounds + 2):
        for name, job in jobs.items():
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            job()
            if turn >= 2:  # the first two warm caches, or compile
                taken[name].append((time.process_time() - cpu_s, time.perf_counter() - wall_s))
    return {
        name: tuple(1e3 * statistics.median(column) for column in zip(*rows, strict=True))
        for name, rows in taken.items()
    }


def observe(recipe: Recipe) -> Observations:
    """Noise in the shape of one observation."""
    side = recipe.encoder.image_size
    images = {name: torch.randint(0, 256, (1, side, side, 3), dtype=torch.uint8) for name in CAMERAS}
    return Observations(images, {name: torch.randn(1, JOINTS) for name in recipe.observe.joints}, {})


def time_plans(recipe: Recipe, compiled: bool, rounds: int) -> dict[str, Any]:
    """Medians by name, and what they were measured on."""
    model, samplers = build(recipe, compiled)
    seen = observe(recipe)
    with torch.no_grad():
        context = model.encode(seen)
        jobs: dict[str, Callable[[], object]] = {"encoder": partial(model.encode, seen)}
        for name, sampler in samplers.items():
            jobs[name] = partial(sampler, context)
            jobs[f"encoder + {name}"] = partial(both, model, sampler, seen)
        found = measure(jobs, rounds)
    return {
        "recipe": recipe.name,
        "energy_parameters": sum(weight.numel() for weight in model.body.parameters()),
        "encoder_parameters": sum(weight.numel() for weight in model.encoder.parameters()),
        "compiled": compiled,
        "rounds": rounds,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "median_ms": {name: {"cpu": cpu, "wall": wall} for name, (cpu, wall) in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--recipe", default="pick_place")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--compile", action="store_true", help="compile every network, instead of none")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    figures = time_plans(load_recipe(asked.recipe), asked.compile, asked.rounds)
    write = sys.stdout.write
    write(f"{'one plan, batch 1, one thread':<32}{'cpu ms':>9}{'wall ms':>9}\n")
    for name, row in figures["median_ms"].items():
        write(f"{name:<32}{row['cpu']:>9.2f}{row['wall']:>9.2f}\n")
    if asked.out:
        asked.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
