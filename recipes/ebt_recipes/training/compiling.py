"""Compiles the repeated parts: the energy's gradient in training, a whole plan on the bench. Optional everywhere."""

from collections.abc import Callable
from time import perf_counter

import torch
from torch._dynamo.exc import TorchDynamoException

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.recipe import TrainingRecipe

WITHOUT_CAMERAS_S, WITH_CAMERAS_S, STEPS = 120.0, 600.0, 2000
"""Shortest training that compiling speeds up: it halves the energy's share of an update, which is nearly all of it
without cameras and a tenth with them (docs/benchmarks/speed.md), and takes up to a minute."""
INSTALL_HINT = "apt install g++ python3-dev installs what compiling needs"


def worth_compiling(training: TrainingRecipe, cameras: int) -> bool:
    """Whether compiling saves more time in this training than it takes."""
    if training.compile != "auto":
        return training.compile == "always"
    long_s = WITH_CAMERAS_S if cameras else WITHOUT_CAMERAS_S
    return training.max_steps >= STEPS and (training.time_limit_s is None or training.time_limit_s >= long_s)


def compile_core(model: ChunkModel, rows: int, train: bool = False) -> str:
    """Compile an energy's gradient, or a field, for chunks of `rows` rows; if `train`, its backward pass too.

    Takes 15 to 60 s the first time on a computer, and a few seconds after that. Call it in the thread that will use
    it: the number of threads is compiled in. Returns the reason if the model stays eager, else an empty string.
    """
    eager = model.core
    model.core = torch.compile(eager, dynamic=False)
    try:
        _try(model, rows, train)
    except (TorchDynamoException, OSError) as error:
        model.core = eager
        return _eager_reason(error)
    return ""


def compile_plans(make: Callable[[], object], model: ChunkModel) -> str:
    """Compile encoder and energy for plans from one observation, as `make` samples them.

    Other shapes (several descents at once) run eagerly later: nothing is compiled while an arm waits for a plan.
    Returns how long a plan took before and takes now, or the reason if it stays eager.
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
        return _eager_reason(error)
    torch.compiler.set_stance("eager_on_recompile")
    return f"compiled: a plan took {before_ms:.1f} ms, and takes {_fastest_ms(make):.1f} ms now"


def _eager_reason(error: Exception) -> str:
    """One sentence, with the remedy for the usual cause."""
    first = str(error).splitlines()[0]
    return f"eager: {'no C++ compiler was found' if 'InvalidCxxCompiler' in first else first}; {INSTALL_HINT}"


def _fastest_ms(make: Callable[[], object]) -> float:
    durations_s = []
    for _ in range(10):
        start_s = perf_counter()
        make()
        durations_s.append(perf_counter() - start_s)
    return 1e3 * min(durations_s)


def _try(model: ChunkModel, rows: int, train: bool) -> None:
    zeros: Callable[..., torch.Tensor] = next(model.parameters()).new_zeros
    context = zeros(rows, model.tokens, model.body.width).requires_grad_(train)
    time = None if model.body.time is None else zeros(rows)
    with torch.set_grad_enabled(train):
        outputs = model.core(zeros(rows, model.horizon, model.joints), context, time)
        if train:
            parts = outputs if isinstance(outputs, tuple) else (outputs,)
            torch.autograd.grad(sum(part.square().sum() for part in parts), context)
