"""A run's folder: averaged weights, the state for a resume, and the contract with the bench. No pickle is used.

run.json             contract, recipe, statistics, versions
model.safetensors    averaged weights, for deployment
normal.safetensors   reference statistics of the training data; without it fewer scores are available
resume.safetensors   raw and averaged weights, optimiser state, whether training is done; written last, self-contained
recipe.json          the resolved recipe, for reading
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
from ebt_data.files.atomic_files import make_folder, write_atomic
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
    """Requirements of a bench: with them, observations and actions have the same meaning as in the training data."""

    joints: tuple[str, ...]
    cameras: Mapping[str, tuple[int, int]]
    """Height and width in pixels, before resizing, by name: only those that the policy observes."""
    rate_hz: float
    privileged: tuple[str, ...] = ()
    unit: str = "rad"
    task: str = ""
    bench: str = ""
    sim: bool = False
    calibration: str = ""
    """`calibration_hash` of the episodes; several, comma-separated, if they differ."""
    episodes: tuple[str, ...] = ()
    """File names of the training episodes."""

    def mismatches(self, spec: BenchSpec, calibration: str = "") -> list[tuple[str, str, str]]:
        """(name, in the run, on the bench) of every difference; calibrations are compared if both are known."""
        rows = [
            ("joints", ", ".join(self.joints), ", ".join(spec.joints)),
            ("rate_hz", f"{self.rate_hz:g}", f"{spec.rate_hz:g}"),
        ]
        for name, (height, width) in self.cameras.items():
            camera = spec.cameras.get(name)
            found = f"{camera.height}x{camera.width}" if camera else "none"
            rows.append((f"camera {name}", f"{height}x{width}", found))
        if self.privileged and not spec.sim:
            rows.append(("privileged", ", ".join(self.privileged), "none: not a twin"))
        if self.calibration and calibration and calibration not in self.calibration.split(","):
            rows.append(("calibration", self.calibration, calibration))
        return [row for row in rows if row[1] != row[2]]


@dataclass(frozen=True)
class Run:
    """A trained policy, loaded for inference."""

    path: Path
    recipe: Recipe
    contract: Contract
    statistics: Statistics
    model: ChunkModel
    """Averaged weights, in evaluation mode, without gradients."""
    step: int
    reference: Reference | None = None
    """Reference statistics; None if training is unfinished, or in runs of versions without them."""

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.contract.cameras)

    def objective(self) -> Objective[Any]:
        """The objective it was trained with, which includes the sampler."""
        return build_objective(self.recipe.objective)

    def check(self, spec: BenchSpec, calibration: str = "") -> None:
        """Reject a bench that differs from the one in the data.

        Raises:
            ConfigError: with a table of every difference.
        """
        differences = self.contract.mismatches(spec, calibration)
        if differences:
            table = [("", "run", "bench"), *differences]
            widths = [max(len(row[column]) for row in table) for column in range(3)]
            lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
            text = "\n  ".join(line.rstrip() for line in lines)
            raise ConfigError(
                f"{self.path.name} was trained for another bench than {spec.name}:\n  {text}", hint=self._bench_hint()
            )

    def _bench_hint(self) -> str:
        """The benches that fit, or what to do if no known bench does."""
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
    """Twelve hex digits that identify a calibration snapshot; empty without one."""
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
    write_atomic(path / "run.json", json.dumps(table, indent=1))
    write_atomic(path / "recipe.json", recipe.model_dump_json(indent=1))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically; `metadata` are strings stored in it.

    Raises:
        DataError: the disk is full, or the folder cannot be written; an earlier file is kept.
    """
    write_atomic(path, save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, dict(metadata)))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata that `save_tensors` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"Cannot read {path}: {error}", hint="ebt train") from error


def is_trained(path: Path) -> bool:
    """True if the folder contains a run whose training is finished."""
    file = path / "resume.safetensors"
    return file.is_file() and load_tensors(file)[1].get("done") == "1"


def load_contract(path: Path) -> tuple[Recipe, Contract, Statistics]:
    """The recipe, contract and statistics that `save_contract` wrote.

    Raises:
        DataError: the file is missing, damaged or of another format.
    """
    file = path / "run.json"
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise DataError(f"{file} has format {table['format']}; this version reads {FORMAT}")
        fields = table["contract"]
        cameras = {name: (int(size[0]), int(size[1])) for name, size in fields["cameras"].items()}
        lists = {name: tuple(fields[name]) for name in ("joints", "privileged", "episodes")}
        contract = Contract(**{**fields, **lists, "cameras": cameras})
        return parse_recipe(table["recipe"], str(file)), contract, Statistics.from_json(table["statistics"])
    except FileNotFoundError as error:
        raise DataError(f"{path} contains no run: it has no run.json", hint="train one with: ebt train") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a run: {type(error).__name__}: {error}", hint="ebt train") from error


def load_run(path: Path) -> Run:
    """Load the policy from a run's folder.

    Raises:
        DataError: a file in it is missing or damaged.
    """
    recipe, contract, statistics = load_contract(path)
    model = build_model(recipe, tuple(contract.cameras), len(contract.joints), statistics)
    weights, metadata = load_tensors(path / "model.safetensors")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{path / 'model.safetensors'} does not fit its recipe: {error}") from error
    model = model.eval().requires_grad_(False)
    return Run(path, recipe, contract, statistics, model, int(metadata["step"]), _load_reference(path))


def save_reference(path: Path, reference: Reference) -> None:
    """Write the reference statistics next to the weights.

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
        raise DataError(f"{file} is damaged: {error}", hint="delete it: fewer scores are available then") from error
    return reference.eval().requires_grad_(False)
