"""Compiling what pays by it: what an update repeats in training, a whole plan at the bench. Everything works without."""

from collections.abc import Callable
from time import perf_counter

import torch
from torch._dynamo.exc import TorchDynamoException

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.recipe import TrainingRecipe

BLIND_S, SEEING_S, STEPS = 120.0, 600.0, 2000
"""From how long a training on it pays: it halves the energy's share of an update, which is nearly all of it without
cameras and a tenth with them (docs/benchmarks.md), and costs up to a minute."""
NEEDS = "apt install g++ python3-dev has what compiling needs"


def worth_compiling(training: TrainingRecipe, cameras: int) -> bool:
    """Whether so long a training saves more than compiling costs."""
    if training.compile != "auto":
        return training.compile == "always"
    long_s = SEEING_S if cameras else BLIND_S
    return training.max_steps >= STEPS and (training.time_limit_s is None or training.time_limit_s >= long_s)


def compile_core(model: ChunkModel, rows: int, train: bool = False) -> str:
    """Compile an energy's slope, or a field, for chunks of so many `rows`; where `train`, its own slope too.

    Takes a quarter to a whole minute the first time on a machine, and a few seconds from then on. Call it in the
    thread that will use it: the number of threads is compiled in. Returns why the model stays eager; empty if it
    doesn't.
    """
    eager = model.core
    model.core = torch.compile(eager, dynamic=False)
    try:
        _try(model, rows, train)
    except (TorchDynamoException, OSError) as error:
        model.core = eager
        return _why(error)
    return ""


def compile_plans(make: Callable[[], object], model: ChunkModel) -> str:
    """Compile encoder and energy for the one observation at a time that `make` plans for.

    Whatever has another shape later (several descents at once) runs eagerly: nothing is compiled while an arm waits.
    Returns how long a plan took before and takes now, or why it stays eager.
    """
    make()
    before_ms = _fastest_ms(make)
    model.core = torch.compile(model.core, dynamic=False)
    model.encoder.compile(dynamic=False)
    model.body.compile(dynamic=False)
    try:
        make()
    except (TorchDynamoException, OSError) as error:
        torch.compiler.set_stance("force_eager")
        return _why(error)
    torch.compiler.set_stance("eager_on_recompile")
    return f"compiled: a plan took {before_ms:.1f} ms, and takes {_fastest_ms(make):.1f} ms now"


def _why(error: Exception) -> str:
    """One sentence, with the cure of the usual cause."""
    first = str(error).splitlines()[0]
    return f"eager: {'no C++ compiler was found' if 'InvalidCxxCompiler' in first else first}; {NEEDS}"


def _fastest_ms(make: Callable[[], object]) -> float:
    taken_s = []
    for _ in range(10):
        begun_s = perf_counter()
        make()
        taken_s.append(perf_counter() - begun_s)
    return 1e3 * min(taken_s)


def _try(model: ChunkModel, rows: int, train: bool) -> None:
    like: Callable[..., torch.Tensor] = next(model.parameters()).new_zeros
    context = like(rows, model.tokens, model.body.width).requires_grad_(train)
    time = None if model.body.time is None else like(rows)
    with torch.set_grad_enabled(train):
        found = model.core(like(rows, model.horizon, model.joints), context, time)
        if train:
            parts = found if isinstance(found, tuple) else (found,)
            torch.autograd.grad(sum(part.square().sum() for part in parts), context)
