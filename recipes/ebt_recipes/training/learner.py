"""The state of training: weights, their average, the optimiser; saved and loaded as plain tensors."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebt_data.errors import DataError
from ebt_recipes.model.batch import Batch
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.objectives.build import build_objective
from ebt_recipes.objectives.objective import Loss
from ebt_recipes.recipe import Recipe
from ebt_recipes.training.checkpoint import load_tensors, save_tensors
from ebt_recipes.training.compiling import compile_core
from ebt_recipes.training.dataset import seeded

FIRST_SHARD_STREAM = 4
"""Of `seeded`: lower streams are for augmentation and validation."""
_MOMENTS = ("exp_avg", "exp_avg_sq")


class Learner:
    """Performs updates, which are the same after a resume as without one."""

    def __init__(self, recipe: Recipe, model: ChunkModel) -> None:
        training = recipe.training
        self.recipe = training
        self.objective = build_objective(recipe.objective)
        self.noise_samples = recipe.objective.noise_samples
        self.model = model
        average = get_ema_multi_avg_fn(training.ema)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(model, multi_avg_fn=average)
        self.optimiser = torch.optim.AdamW(
            model.parameters(),
            training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self.step = 0
        """Updates done."""
        self._weights = list(model.parameters())
        threads = max(1, torch.get_num_threads() // training.shards)
        self._pool = ThreadPoolExecutor(training.shards, "shard", torch.set_num_threads, (threads,))

    def compile(self) -> str:
        """Compile the core; returns the reason if it stays eager, else "". Updates differ only by rounding."""
        rows = len(range(self.recipe.batch)[:: self.recipe.shards]) * self.noise_samples
        return self._pool.submit(compile_core, self.model, rows, train=True).result()

    @property
    def averaged(self) -> ChunkModel:
        """The model with averaged weights."""
        return cast(ChunkModel, self.average.module)

    def update(self, batch: Batch, done: float) -> dict[str, Tensor]:
        """One update; `done` is the fraction of training completed. Returns the loss and its parts, detached."""
        self.set_learning_rate(done)
        shards = batch.split(self.recipe.shards)
        results = list(self._pool.map(self._differentiate, shards, range(len(shards))))
        shares = [len(shard) / len(batch) for shard in shards]
        for weight, *gradients in zip(self._weights, *(gradients for _, gradients in results), strict=True):
            # The fused update requires a gradient in its weight's memory format (some are channels-last).
            weight.grad = torch.empty_like(weight).copy_(_mean(gradients, shares))
        norm = torch.nn.utils.clip_grad_norm_(self._weights, self.recipe.clip)
        self.optimiser.step()
        self.average.update_parameters(self.model)
        self.step += 1
        parts = [{"loss": loss.total.detach(), **loss.parts} for loss, _ in results]
        return {**{name: _mean([part[name] for part in parts], shares) for name in parts[0]}, "gradient_norm": norm}

    def _differentiate(self, shard: Batch, index: int) -> tuple[Loss, tuple[Tensor, ...]]:
        """A shard's loss and its gradient for every weight.

        Two shards on one core each take half the time of one on two cores: most operations are too small to split.
        """
        generator = seeded(self.recipe.seed, self.step, stream=FIRST_SHARD_STREAM + index)
        loss = self.objective(self.model, shard, generator)
        return loss, torch.autograd.grad(loss.total, self._weights, materialize_grads=True)

    def set_learning_rate(self, done: float) -> None:
        """Linear warm-up by steps, then half a cosine by the fraction of training completed."""
        warm = min(1.0, (self.step + 1) / max(self.recipe.warmup_steps, 1))
        rate = self.recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last update."""
        return float(self.optimiser.param_groups[0]["lr"])

    def save(self, run: Path, metadata: Mapping[str, str]) -> None:
        """Write the weights for deployment, then the state for a resume: if interrupted, training resumes from before.

        The first save also writes the resume state first, so that weights never exist without it.
        """
        names = [name for name, _ in self.model.named_parameters()]
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.averaged.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{key}.{names[index]}": value for key, value in state.items()}
        metadata = {**metadata, "step": str(self.step)}
        resume, weights = run / "resume.safetensors", run / "model.safetensors"
        if not resume.exists():
            save_tensors(resume, tensors, metadata)
        save_tensors(weights, self.averaged.state_dict(), {"step": str(self.step)})
        save_tensors(resume, tensors, metadata)

    def load(self, run: Path) -> dict[str, str]:
        """Restore the state that `save` wrote; returns the metadata passed to it.

        Raises:
            DataError: the file is missing, damaged, or of a network of another shape.
        """
        tensors, metadata = load_tensors(run / "resume.safetensors")
        try:
            self.model.load_state_dict(_with_prefix("model.", tensors))
            self.averaged.load_state_dict(_with_prefix("average.", tensors))
        except RuntimeError as error:
            raise DataError(f"{run} does not fit its recipe: {error}") from error
        self.step = int(metadata["step"])
        self.average.n_averaged.fill_(self.step)
        state = {}
        for index, (name, weight) in enumerate(self.model.named_parameters()):
            if f"adam.step.{name}" in tensors:
                # The fused update requires moments in their weights' memory format (some are channels-last).
                moments = {key: torch.empty_like(weight).copy_(tensors[f"adam.{key}.{name}"]) for key in _MOMENTS}
                state[index] = {"step": tensors[f"adam.step.{name}"], **moments}
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
        return metadata


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _mean(values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    return torch.stack([share * value for share, value in zip(shares, values, strict=True)]).sum(dim=0)
