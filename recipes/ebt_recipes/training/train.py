"""Trains a policy from episodes, for a number of updates or minutes, with exact resume."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ebt_data.errors import ConfigError, DataError, MisuseError
from ebt_data.files.atomic_files import prepare_folder
from ebt_data.reading.episode import Episode
from ebt_data.windows.windows import split
from ebt_recipes.objectives.build import build_model
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.recipe import Recipe
from ebt_recipes.task import episodes_of_task
from ebt_recipes.training.checkpoint import Contract, calibration_hash, load_contract, save_contract, save_reference
from ebt_recipes.training.compiling import worth_compiling
from ebt_recipes.training.dataset import Dataset, Prefetch, action_error, seeded
from ebt_recipes.training.learner import Learner
from ebt_recipes.uncertainty.fit_reference import ROWS, fit_reference
from ebt_recipes.workers import deferred_signals

REPORT_EVERY = 20  # updates
CHECKPOINT_MB = 20.0  # disk space for the shipped recipes, old and new together
CHECKPOINT_S = 30.0  # most training lost by a kill; a checkpoint takes 0.1 s
VALIDATION_ROWS = 256


@dataclass(frozen=True)
class Progress:
    """Progress of a training."""

    step: int
    """Updates done."""
    total_steps: int
    """Maximum number of updates."""
    done: float
    """0 .. 1, by updates or by time, whichever is greater."""
    losses: Mapping[str, float]
    """`loss` and its unweighted parts, mean since the previous report."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """Last validation: `loss`, its parts, and `action_error_rad`; empty before the first, or without held-out data."""
    learning_rate: float = 0.0
    data_wait: float = 0.0
    """Fraction of the time spent waiting for batches."""
    elapsed_s: float = 0.0
    eta_s: float = 0.0
    engine: str = "eager"
    """`compiled`, or `eager` with the reason if compiling failed."""


Report = Callable[[Progress], None]


def train(
    recipe: Recipe,
    episodes: Sequence[Path],
    out: Path,
    report: Report,
    resume: bool = False,
    time_limit_s: float | None = None,
) -> Path:
    """Train into the folder `out` and return it; a Ctrl-C saves a checkpoint, from which `resume` continues.

    `time_limit_s` overrides the recipe's; time spent before a resume counts. If it ends training, the learning
    rate still ends at 0. Only successful, complete episodes are used.

    Raises:
        MisuseError: `out` contains a run and `resume` is false, or no run and `resume` is true.
        ConfigError: the recipe or the episodes differ from those of the run to resume, or do not fit each other.
        DataError: an episode or checkpoint cannot be read, or a checkpoint cannot be written; the last one is kept.
    """
    if time_limit_s is not None:
        recipe = recipe.model_copy(
            update={"training": recipe.training.model_copy(update={"time_limit_s": time_limit_s})}
        )
    _check_folder(out, resume)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    with _run_folder(out):
        chosen = episodes_of_task(recipe, episodes)
        training, held = split(chosen, recipe.training.validation_fraction, recipe.training.seed)
        data = Dataset(recipe, training)
        validation = _held_out(recipe, held, data)
        contract = _contract(data, recipe)
    if resume:
        _check_same(out, recipe, contract)
    save_contract(out, recipe, contract, data.statistics())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = build_model(recipe, data.cameras, len(contract.joints), data.statistics())
    learner = Learner(recipe, model)
    trainer = _Training(recipe, learner, data, validation, out)
    with trainer.session(resume) as (batches, curves, raise_if_stopped):
        trainer.loop(batches, report, curves, raise_if_stopped)
    plan_sampler = PlanSampler(learner.averaged.eval(), learner.objective, recipe.act)
    rows = data.evenly_spaced_rows(ROWS)
    parts = (data.batch(rows[first : first + 256]).observations for first in range(0, len(rows), 256))
    save_reference(out, fit_reference(plan_sampler, parts, recipe.training.seed))
    return out


class _Training:
    """The loop over updates, with its clock, curves and checkpoints."""

    def __init__(self, recipe: Recipe, learner: Learner, data: Dataset, validation: Dataset | None, out: Path) -> None:
        self.recipe = recipe.training
        self.execute = recipe.act.execute
        self.learner, self.data, self.validation, self.out = learner, data, validation, out
        self.validated: dict[str, float] = {}
        self.finished = False
        self.consistent = True
        """False during an update, when weights, average and moments are of different steps."""
        self.engine = "eager"
        self.spent_s = 0.0
        self.start_s = self.saved_s = perf_counter()

    @property
    def elapsed_s(self) -> float:
        return self.spent_s + perf_counter() - self.start_s

    @property
    def done(self) -> float:
        by_time = self.elapsed_s / self.recipe.time_limit_s if self.recipe.time_limit_s else 0.0
        return min(1.0, max(self.learner.step / self.recipe.max_steps, by_time))

    @contextmanager
    def session(self, resume: bool) -> Iterator[tuple[Prefetch, SummaryWriter, Callable[[], None]]]:
        """What `loop` needs; a checkpoint is saved on the way out, also on an error or a Ctrl-C."""
        if resume:
            metadata = self.learner.load(self.out)
            self.spent_s, self.finished = float(metadata["elapsed_s"]), metadata.get("done") == "1"
        else:
            self._save()  # so that the run can be resumed even if it is killed before the next checkpoint
        if worth_compiling(self.recipe, len(self.data.cameras)):
            self.engine = self.learner.compile() or "compiled"
        first = self.learner.step
        curves = SummaryWriter(str(self.out / "tensorboard"), purge_step=first or None)
        with deferred_signals() as raise_if_stopped:
            try:
                with Prefetch(self.data.training_batch, first) as batches:
                    yield batches, curves, raise_if_stopped
            finally:
                if self.consistent:  # else a second Ctrl-C interrupted an update: keep the last checkpoint
                    self._save()
                curves.close()

    def loop(
        self, batches: Prefetch, report: Report, curves: SummaryWriter, raise_if_stopped: Callable[[], None]
    ) -> None:
        """Update until the time or the number of updates is reached."""
        learner, recipe = self.learner, self.recipe
        recent: list[dict[str, Tensor]] = []
        loop_s = perf_counter()
        # If interrupted after the time limit but before it was finished, one update and the last report remain.
        last = self.finished = self.finished and self.done >= 1
        while not last:
            batch = batches.take()
            self.consistent = False
            recent.append(learner.update(batch, self.done))
            self.consistent = True
            last = self.done >= 1  # evaluated once per update, so that the last one is always reported
            if self.validation is not None and (last or learner.step % recipe.validate_every == 0):
                self.validated = self._validate(self.validation)
                _plot(curves, "validation", self.validated, learner.step)
            if last or learner.step % REPORT_EVERY == 0:
                wait = batches.waited_s / (perf_counter() - loop_s)
                progress = self._progress(recent, wait)
                _plot(curves, "training", progress.losses, learner.step)
                _plot(curves, "run", {"learning_rate": learner.learning_rate, "data_wait": wait}, learner.step)
                recent.clear()
                report(progress)
            if learner.step % recipe.checkpoint_every == 0 or perf_counter() - self.saved_s >= CHECKPOINT_S:
                self._save()
            self.finished = last
            raise_if_stopped()

    def _progress(self, recent: Sequence[Mapping[str, Tensor]], wait: float) -> Progress:
        done = self.done
        return Progress(
            step=self.learner.step,
            total_steps=self.recipe.max_steps,
            done=done,
            losses={name: float(torch.stack([parts[name] for parts in recent]).mean()) for name in recent[0]},
            validation=self.validated,
            learning_rate=self.learner.learning_rate,
            data_wait=wait,
            elapsed_s=self.elapsed_s,
            eta_s=self.elapsed_s * (1 - done) / done,
            engine=self.engine,
        )

    def _validate(self, held: Dataset) -> dict[str, float]:
        """Losses and error of the averaged weights on fixed rows of the held-out episodes, with fixed noise."""
        learner, model = self.learner, self.learner.averaged.eval()
        batch = held.batch(held.evenly_spaced_rows(VALIDATION_ROWS))
        with torch.no_grad():
            loss = learner.objective(model, batch, seeded(self.recipe.seed, 0, stream=2))
            context = model.encode(batch.observations)
            samples = learner.objective.sample(model, context, None, seeded(self.recipe.seed, 0, stream=3))
            chunk = model.denormalise(samples.x, batch.observations.joints["position"])
        parts = {name: float(part) for name, part in loss.parts.items()}
        error = action_error(chunk, batch, self.execute)
        return {"loss": float(loss.total), **parts, "action_error_rad": error}

    def _save(self) -> None:
        self.learner.save(self.out, {"elapsed_s": repr(self.elapsed_s), "done": str(int(self.finished))})
        self.saved_s = perf_counter()


def _plot(curves: SummaryWriter, group: str, values: Mapping[str, float], step: int) -> None:
    for name, value in values.items():
        curves.add_scalar(f"{group}/{name}", value, step)


def _held_out(recipe: Recipe, paths: Sequence[Path], data: Dataset) -> Dataset | None:
    """The validation episodes; None if there are none, or none of them was successful."""
    try:
        return Dataset(recipe, paths, data.mid_range) if paths else None
    except DataError:
        return None


def _contract(data: Dataset, recipe: Recipe) -> Contract:
    windows, spec = data.windows, data.windows.spec
    hashes = set()
    for path in windows.paths:
        with Episode(path) as episode:
            hashes.add(calibration_hash(episode.meta.calibration))
    return Contract(
        joints=spec.joints,
        cameras={name: (spec.cameras[name].height, spec.cameras[name].width) for name in data.cameras},
        rate_hz=spec.rate_hz,
        privileged=recipe.observe.privileged,
        task=spec.task,
        bench=spec.name,
        sim=spec.sim,
        calibration=",".join(sorted(hashes - {""})),
        episodes=tuple(path.name for path in windows.paths),
    )


@contextmanager
def _run_folder(out: Path) -> Iterator[None]:
    """Create and check the run's folder before the data are read; remove a new folder if that fails."""
    new = not out.exists()
    prepare_folder(out, CHECKPOINT_MB, "training")
    try:
        yield
    except BaseException:
        if new:
            out.rmdir()
        raise


def _check_folder(out: Path, resume: bool) -> None:
    # A run that was killed before its first checkpoint has a contract but no weights: it can be overwritten.
    if not resume and any((out / name).exists() for name in ("model.safetensors", "resume.safetensors")):
        raise MisuseError(f"{out} already contains a run", hint="choose another --out, or add --resume")
    if resume and not (out / "resume.safetensors").exists():
        raise MisuseError(f"{out} contains nothing to resume", hint="leave out --resume")


def _check_same(out: Path, recipe: Recipe, contract: Contract) -> None:
    """A run is resumed with the recipe and the data that it was started with; only its length may change."""
    before, contract_before, _ = load_contract(out)
    free = {"max_steps", "time_limit_s", "threads", "compile", "validate_every", "checkpoint_every"}
    old, new = (
        each.model_dump(mode="json", exclude={"training": free, "name": True, "task": True})
        for each in (before, recipe)
    )
    changed = ["task"] if before.task != recipe.task else []
    changed += [
        f"{section}.{key}" for section, keys in old.items() for key in keys if keys[key] != new[section].get(key)
    ]
    if changed:
        names = ", ".join(changed)
        raise ConfigError(f"{out} was started with other values of {names}", hint="train into a new folder")
    if contract_before != contract:
        raise ConfigError(f"{out} was started with other episodes, or another bench", hint="train into a new folder")
