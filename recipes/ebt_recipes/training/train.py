"""Trains a policy from episodes, within a number of updates or minutes, and can be taken up again exactly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ebt_data.errors import ConfigError, DataError, MisuseError
from ebt_data.files.atomic_files import make_ready
from ebt_data.reading.episode import Episode
from ebt_data.windows.windows import split
from ebt_recipes.objectives.build import build_model
from ebt_recipes.objectives.plan_sampler import PlanSampler
from ebt_recipes.recipe import Recipe
from ebt_recipes.task import of_task
from ebt_recipes.training.checkpoint import Contract, calibration_hash, load_contract, save_contract, save_reference
from ebt_recipes.training.compiling import worth_compiling
from ebt_recipes.training.dataset import Dataset, Prefetch, action_error, seeded
from ebt_recipes.training.learner import Learner
from ebt_recipes.uncertainty.fit_reference import ROWS, fit_reference
from ebt_recipes.workers import held_back

REPORT_EVERY = 20  # updates
CHECKPOINT_MB = 20.0  # of the shipped recipes, old and new together
CHECKPOINT_S = 30.0  # what a kill costs at most; a checkpoint takes a tenth of a second
VALIDATION_ROWS = 256


@dataclass(frozen=True)
class Progress:
    """How training stands."""

    step: int
    """Updates done."""
    total_steps: int
    """At most."""
    done: float
    """0 .. 1, by updates or by time, whichever is further."""
    losses: Mapping[str, float]
    """`loss` and its unweighted parts, mean since the report before."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """The last: `loss`, its parts, and `action_error_rad`; empty before the first, or without held-out episodes."""
    learning_rate: float = 0.0
    data_wait: float = 0.0
    """Fraction of the time spent waiting for batches."""
    elapsed_s: float = 0.0
    eta_s: float = 0.0
    engine: str = "eager"
    """`compiled`, or `eager` and, where compiling was tried, why not."""


Report = Callable[[Progress], None]


def train(
    recipe: Recipe,
    episodes: Sequence[Path],
    out: Path,
    report: Report,
    resume: bool = False,
    time_limit_s: float | None = None,
) -> Path:
    """Train into the folder `out` and return it; a Ctrl-C saves first, and `resume` goes on from there.

    `time_limit_s` overrides the recipe's; time already spent before a resume counts. Cut off by time, the learning
    rate still ends at 0. Only successful, complete episodes are learnt from.

    Raises:
        MisuseError: `out` holds a run and `resume` is off, or the other way round.
        ConfigError: the recipe or the episodes are not those of the run to resume, or do not fit each other.
        DataError: an episode or checkpoint cannot be read, or a checkpoint not be written: the last whole one stays.
    """
    if time_limit_s is not None:
        recipe = recipe.model_copy(
            update={"training": recipe.training.model_copy(update={"time_limit_s": time_limit_s})}
        )
    _check_folder(out, resume)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    with _folder(out):
        learning, held = split(of_task(recipe, episodes), recipe.training.validation_fraction, recipe.training.seed)
        data = Dataset(recipe, learning)
        validation = _held_out(recipe, held, data)
        contract = _contract(data, recipe)
    if resume:
        _check_same(out, recipe, contract)
    save_contract(out, recipe, contract, data.statistics())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = build_model(recipe, data.cameras, len(contract.joints), data.statistics())
    learner = Learner(recipe, model)
    _Training(recipe, learner, data, validation, out).run(report, resume)
    plan_sampler = PlanSampler(learner.averaged.eval(), learner.objective, recipe.act)
    rows = data.even_rows(ROWS)
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
        self.whole = True
        """False while an update is under way: weights, average and moments are then of different steps."""
        self.engine = "eager"
        self.spent_s = 0.0
        self.began_s = self.saved_s = perf_counter()

    @property
    def elapsed_s(self) -> float:
        return self.spent_s + perf_counter() - self.began_s

    @property
    def done(self) -> float:
        by_time = self.elapsed_s / self.recipe.time_limit_s if self.recipe.time_limit_s else 0.0
        return min(1.0, max(self.learner.step / self.recipe.max_steps, by_time))

    def run(self, report: Report, resume: bool) -> None:
        if resume:
            facts = self.learner.load(self.out)
            self.spent_s, self.finished = float(facts["elapsed_s"]), facts.get("done") == "1"
        else:
            self._save()  # so that whatever kills it from here on, the same run can go on
        if worth_compiling(self.recipe, len(self.data.cameras)):
            self.engine = self.learner.compile() or "compiled"
        first = self.learner.step
        curves = SummaryWriter(str(self.out / "tensorboard"), purge_step=first or None)
        with held_back() as stop_if_asked:
            try:
                with Prefetch(self.data.training_batch, first) as batches:
                    self._loop(batches, report, curves, stop_if_asked)
            finally:
                if self.whole:  # or somebody could not wait: the last checkpoint stays
                    self._save()
                curves.close()

    def _loop(
        self, batches: Prefetch, report: Report, curves: SummaryWriter, stop_if_asked: Callable[[], None]
    ) -> None:
        learner, recipe = self.learner, self.recipe
        recent: list[dict[str, Tensor]] = []
        loop_s = perf_counter()
        # Cut off after its time was up, but before it was finished, it still owes one update and its last report.
        last = self.finished = self.finished and self.done >= 1
        while not last:
            batch = batches.take()
            self.whole = False
            recent.append(learner.update(batch, self.done))
            self.whole = True
            last = self.done >= 1  # asked once an update, so that the last one is always reported
            if self.validation is not None and (last or learner.step % recipe.validate_every == 0):
                self.validated = self._validate(self.validation)
                _plot(curves, "validation", self.validated, learner.step)
            if last or learner.step % REPORT_EVERY == 0:
                wait = batches.waited_s / (perf_counter() - loop_s)
                progress = self._progress(recent, wait)
                _plot(curves, "training", progress.losses, learner.step)
                _plot(curves, "run", {"learning_rate": learner.rate, "data_wait": wait}, learner.step)
                recent.clear()
                report(progress)
            if learner.step % recipe.checkpoint_every == 0 or perf_counter() - self.saved_s >= CHECKPOINT_S:
                self._save()
            self.finished = last
            stop_if_asked()

    def _progress(self, recent: Sequence[Mapping[str, Tensor]], wait: float) -> Progress:
        done = self.done
        return Progress(
            step=self.learner.step,
            total_steps=self.recipe.max_steps,
            done=done,
            losses={name: float(torch.stack([parts[name] for parts in recent]).mean()) for name in recent[0]},
            validation=self.validated,
            learning_rate=self.learner.rate,
            data_wait=wait,
            elapsed_s=self.elapsed_s,
            eta_s=self.elapsed_s * (1 - done) / done,
            engine=self.engine,
        )

    def _validate(self, held: Dataset) -> dict[str, float]:
        """The averaged weights on fixed rows and fixed noise of the held-out episodes."""
        learner, model = self.learner, self.learner.averaged.eval()
        batch = held.batch(held.even_rows(VALIDATION_ROWS))
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
    """The validation episodes; None where there are none, or none of them ended in success."""
    try:
        return Dataset(recipe, paths, data.middle) if paths else None
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
def _folder(out: Path) -> Iterator[None]:
    """The run's folder, seen to be ready before the data are read; where they cannot be, none is left behind."""
    new = not out.exists()
    make_ready(out, CHECKPOINT_MB, "training")
    try:
        yield
    except BaseException:
        if new:
            out.rmdir()
        raise


def _check_folder(out: Path, resume: bool) -> None:
    # Killed before its first checkpoint, a run left a contract and no weights: nothing to keep.
    if not resume and any((out / name).exists() for name in ("model.safetensors", "resume.safetensors")):
        raise MisuseError(f"{out} already holds a run", hint="choose another --out, or add --resume")
    if resume and not (out / "resume.safetensors").exists():
        raise MisuseError(f"{out} holds nothing to resume", hint="leave out --resume")


def _check_same(out: Path, recipe: Recipe, contract: Contract) -> None:
    """A run goes on with the recipe and the data that it began with; only its length may change."""
    before, told, _ = load_contract(out)
    free = {"max_steps", "time_limit_s", "threads", "compile", "validate_every", "checkpoint_every"}
    one, other = (
        each.model_dump(mode="json", exclude={"training": free, "name": True, "task": True})
        for each in (before, recipe)
    )
    changed = ["task"] if before.task != recipe.task else []
    changed += [
        f"{section}.{key}" for section, keys in one.items() for key in keys if keys[key] != other[section].get(key)
    ]
    if changed:
        raise ConfigError(f"{out} was begun with other values of {', '.join(changed)}", hint="train into a new folder")
    if told != contract:
        raise ConfigError(f"{out} was begun with other episodes, or another bench", hint="train into a new folder")
