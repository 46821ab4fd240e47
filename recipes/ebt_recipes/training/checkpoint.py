"""A run's folder: averaged weights, what is needed to resume, and the contract with the bench. No pickle anywhere.

run.json             contract, recipe, statistics, versions
model.safetensors    averaged weights: what is deployed
normal.safetensors   statistics of the training distribution; without it fewer scores are available
resume.safetensors   raw and averaged weights, optimiser; written last, complete in itself, says when training is done
recipe.json          the resolved recipe, for people
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ebt_data.errors import ConfigError, DataError
from ebt_data.files.atomic_files import make_folder, write_whole
from ebt_data.step import BenchSpec
from ebt_data.versions import installed_version
from ebt_hardware.config.benches import list_benches, load_bench
from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.objectives.build import build_model, build_objective
from ebt_recipes.objectives.objective import Objective
from ebt_recipes.recipe import Recipe, parse_recipe
from ebt_recipes.uncertainty.reference import Reference

FORMAT = 1
REFERENCE = "normal.safetensors"


@dataclass(frozen=True)
class Contract:
    """What a bench must give for the policy to mean the same on it as in its data."""

    joints: tuple[str, ...]
    cameras: Mapping[str, tuple[int, int]]
    """Height and width in pixels, before shrinking, by name: only those that the policy sees."""
    rate_hz: float
    privileged: tuple[str, ...] = ()
    unit: str = "rad"
    task: str = ""
    bench: str = ""
    sim: bool = False
    calibration: str = ""
    """`calibration_hash` of what the episodes carry; several, comma-separated, where they differ."""
    episodes: tuple[str, ...] = ()
    """File names of the training episodes."""

    def mismatches(self, spec: BenchSpec, calibration: str = "") -> list[tuple[str, str, str]]:
        """(what, in the run, on the bench) for everything that differs; calibrations are compared where both are known."""
        rows = [
            ("joints", ", ".join(self.joints), ", ".join(spec.joints)),
            ("rate_hz", f"{self.rate_hz:g}", f"{spec.rate_hz:g}"),
        ]
        for name, (height, width) in self.cameras.items():
            there = spec.cameras.get(name)
            rows.append((f"camera {name}", f"{height}x{width}", f"{there.height}x{there.width}" if there else "none"))
        if self.privileged and not spec.sim:
            rows.append(("privileged", ", ".join(self.privileged), "none: not a twin"))
        if self.calibration and calibration and calibration not in self.calibration.split(","):
            rows.append(("calibration", self.calibration, calibration))
        return [row for row in rows if row[1] != row[2]]


@dataclass(frozen=True)
class Run:
    """A trained policy, ready to plan."""

    path: Path
    recipe: Recipe
    contract: Contract
    statistics: Statistics
    model: ChunkModel
    """Averaged weights, in evaluation mode, without gradients."""
    step: int
    reference: Reference | None = None
    """What is normal for it; None in a run whose training has not come to its end, or is from before there was one."""

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.contract.cameras)

    def objective(self) -> Objective[Any]:
        """The objective it was trained with, which knows how to sample."""
        return build_objective(self.recipe.objective)

    def check(self, spec: BenchSpec, calibration: str = "") -> None:
        """Refuse a bench that differs from the one in the data.

        Raises:
            ConfigError: with a table of every difference.
        """
        found = self.contract.mismatches(spec, calibration)
        if found:
            table = [("", "run", "bench"), *found]
            widths = [max(len(row[column]) for row in table) for column in range(3)]
            lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
            text = "\n  ".join(line.rstrip() for line in lines)
            raise ConfigError(
                f"{self.path.name} was trained for another bench than {spec.name}:\n  {text}", hint=self._fitting()
            )

    def _fitting(self) -> str:
        """Which bench would fit, or what to do where none is known that does."""
        fitting = []
        for name in list_benches():
            with suppress(ConfigError):  # a broken bench file fits no run
                if not self.contract.mismatches(load_bench(name).spec):
                    fitting.append(name)
        if fitting:
            return f"choose a bench that fits: --bench {' or --bench '.join(fitting)}"
        return (
            "no bench file here fits: choose another run, change the bench file, or train a run on data of this bench"
        )


def calibration_hash(calibration: Mapping[str, Any]) -> str:
    """Twelve hex digits that stand for a calibration snapshot; empty for none."""
    if not calibration:
        return ""
    return hashlib.sha256(json.dumps(calibration, sort_keys=True).encode()).hexdigest()[:12]


def save_contract(path: Path, recipe: Recipe, contract: Contract, statistics: Statistics) -> None:
    """Write `run.json` and the resolved recipe into a run's folder."""
    versions = {name: installed_version(name) or "unknown" for name in ("ebt", "torch", "numpy", "safetensors")}
    table = {
        "format": FORMAT,
        "contract": asdict(contract),
        "recipe": recipe.model_dump(mode="json"),
        "statistics": statistics.to_json(),
        "versions": versions,
    }
    make_folder(path)
    write_whole(path / "run.json", json.dumps(table, indent=1))
    write_whole(path / "recipe.json", recipe.model_dump_json(indent=1))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write a safetensors file whole or not at all; `facts` are texts kept with it.

    Raises:
        DataError: the disk is full, or the folder cannot be written; the file that was there stays.
    """
    write_whole(path, save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, dict(facts)))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `save_tensors` wrote.

    Raises:
        DataError: missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"Cannot read {path}: {error}", hint="ebt train") from error


def is_trained(path: Path) -> bool:
    """True where the folder holds a run whose training came to its end."""
    file = path / "resume.safetensors"
    return file.is_file() and load_tensors(file)[1].get("done") == "1"


def load_contract(path: Path) -> tuple[Recipe, Contract, Statistics]:
    """What `save_contract` wrote.

    Raises:
        DataError: missing, damaged or of another format.
    """
    file = path / "run.json"
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise DataError(f"{file} has format {table['format']}; this version reads {FORMAT}")
        told = table["contract"]
        cameras = {name: (int(size[0]), int(size[1])) for name, size in told["cameras"].items()}
        lists = {name: tuple(told[name]) for name in ("joints", "privileged", "episodes")}
        contract = Contract(**{**told, **lists, "cameras": cameras})
        return parse_recipe(table["recipe"], str(file)), contract, Statistics.from_json(table["statistics"])
    except FileNotFoundError as error:
        raise DataError(f"{path} holds no run: there is no run.json in it", hint="make one with: ebt train") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a run: {type(error).__name__}: {error}", hint="ebt train") from error


def load_run(path: Path) -> Run:
    """The policy in a run's folder.

    Raises:
        DataError: something in it is missing or damaged.
    """
    recipe, contract, statistics = load_contract(path)
    model = build_model(recipe, tuple(contract.cameras), len(contract.joints), statistics)
    weights, facts = load_tensors(path / "model.safetensors")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{path / 'model.safetensors'} does not fit its recipe: {error}") from error
    model = model.eval().requires_grad_(False)
    return Run(path, recipe, contract, statistics, model, int(facts["step"]), _load_reference(path))


def save_reference(path: Path, reference: Reference) -> None:
    """Beside the weights that it is about.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    save_tensors(path / REFERENCE, reference.state_dict(), {})


def _load_reference(path: Path) -> Reference | None:
    file = path / REFERENCE
    if not file.is_file():
        return None
    tensors, _ = load_tensors(file)
    try:
        memories, width = tensors["memories"], tensors["hidden_mean"]
        reference = Reference(memories.shape[1], len(width), len(memories))
        reference.load_state_dict(tensors)
    except (KeyError, IndexError, RuntimeError) as error:
        raise DataError(f"{file} is damaged: {error}", hint="delete it: fewer scores can be watched then") from error
    return reference.eval().requires_grad_(False)
