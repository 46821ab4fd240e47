"""A recipe: what a policy sees, what it is made of and how it is trained, as one TOML file."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ebt_data.errors import ConfigError

DEFAULT_RECIPE = "pick_place"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _ObjectiveRecipe(_Section):
    noise_samples: int = Field(default=2, ge=1)
    """Noises for each observation of a batch: the vision tower runs once for all of them."""
    forecast_weight: float = Field(default=0.1, ge=0)
    """Of guessing the pose at the next gripper event and the chunk's mean from the observation alone."""
    tolerance: float = Field(default=0.0, ge=0)
    """A plan stops early once the root mean square of its slope is below; 0 spends every step."""


class EquilibriumMatchingRecipe(_ObjectiveRecipe):
    """Equilibrium matching with an explicit energy (arXiv 2510.02300), and two terms that give its level a meaning."""

    kind: Literal["equilibrium_matching"] = "equilibrium_matching"
    flat_until: float = Field(default=0.8, ge=0, lt=1)
    """c(t) is 1 until here, then falls linearly to 0 at the data."""
    level_weight: float = Field(default=0.2, ge=0)
    """Regresses the energy to the potential that the target gradient integrates to."""
    negative_weight: float = Field(default=0.1, ge=0)
    """Asks that the true chunk cost more under a corrupted observation."""
    step_sizes: tuple[float, ...] = (1.0, 0.2, 0.2)
    """Of the sampler, one a descent step; asked for more steps, it repeats the last."""


class UnrolledRecipe(_ObjectiveRecipe):
    """The paper's objective (arXiv 2510.27545): descend a few steps from noise, regress every iterate to the chunk."""

    kind: Literal["unrolled_ebt"] = "unrolled_ebt"
    steps: int = Field(default=2, ge=1)
    """Descent steps in training."""
    extra_steps: int = Field(default=1, ge=0)
    """Up to so many more, drawn anew for each batch."""
    step_size: float = Field(default=1.0, gt=0)
    step_jitter: float = Field(default=1.5, ge=1)
    """In training each sample's step is scaled by U[1/jitter, jitter]."""
    energy_scaled: bool = False
    """Multiply the step by exp(energy per dimension), the energy clamped to [-3, 3]."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Nesterov."""
    langevin: float = Field(default=0.1, ge=0)
    """Noise added before each training step, annealed by a cosine to a hundredth; none when sampling."""
    mixed_start: bool = True
    """Start training anywhere between noise and data; from noise alone the minimiser is the mean of all modes."""
    unroll: bool = False
    """Back-propagate through the whole chain; otherwise each step learns by itself."""
    step_sizes: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """Of the sampler, as in equilibrium matching."""


ObjectiveRecipe = Annotated[EquilibriumMatchingRecipe | UnrolledRecipe, Field(discriminator="kind")]


class ModelRecipe(_Section):
    """The energy transformer."""

    width: int = Field(default=64, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    expansion: int = Field(default=2, ge=1)
    """Of the feed-forward part."""


class EncoderRecipe(_Section):
    """The vision tower, one for each camera, and the joint encoding."""

    image_size: int = Field(default=96, ge=16)
    """Pixels on a side; whatever the camera gives is shrunk to a square of it."""
    channels: tuple[int, int, int] = (16, 16, 32)
    """Of the three convolutions, the first at stride 4; the last is the number of keypoints."""
    shift_px: int = Field(default=2, ge=0)
    """Random shift in training, up to so many pixels each way."""
    jitter: float = Field(default=0.1, ge=0)
    """Random brightness and contrast in training, as a fraction."""
    zoom_rad: float = Field(default=0.03, gt=0)
    """Width about the mean pose in which joint positions are magnified: about the precision that the task wants."""


class ObserveRecipe(_Section):
    """What the policy sees."""

    cameras: tuple[str, ...] = ()
    """Names; empty means every camera of the episodes."""
    joints: tuple[Literal["position", "velocity", "effort"], ...] = ("position",)
    """Readings; `position` must be among them. Velocity and effort tell what was done just before, and a policy that
    copies that stops looking: docs/lab-notes.md."""
    privileged: tuple[str, ...] = ()
    """Object poses that only the twin knows. Naming one makes the policy a cheat that no real bench can run."""

    @field_validator("joints")
    @classmethod
    def _position_is_seen(cls, joints: tuple[str, ...]) -> tuple[str, ...]:
        if "position" not in joints:
            raise ValueError("position must be among the joint readings: chunks are planned from it")
        return joints


class ActRecipe(_Section):
    """What the policy does."""

    horizon: int = Field(default=8, ge=1)
    """Ticks a chunk covers."""
    execute: int = Field(default=4, ge=1)
    """Ticks of it that are run before the next plan."""
    latency_s: float = Field(default=0.05, ge=0)
    """In lock-step time a plan becomes available so long after its observation."""
    relative: bool = True
    """Chunks are relative to the measured pose at planning time; otherwise absolute goals."""
    floor_rad: float = Field(default=0.02, gt=0)
    """Least spread that an action is normalised by, so that idle joints do not become noise."""


class TrainingRecipe(_Section):
    """How it is trained."""

    batch: int = Field(default=64, ge=1)
    """Observations an update."""
    shards: int = Field(default=2, ge=1)
    """Parts of a batch that are learnt side by side, each with noise of its own: one a core is fastest."""
    learning_rate: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=1e-6, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    clip: float = Field(default=1.0, gt=0)
    """Of the gradient's global norm."""
    ema: float = Field(default=0.995, ge=0, lt=1)
    max_steps: int = Field(default=6000, ge=1)
    time_limit_s: float | None = Field(default=None, gt=0)
    """Wall time; where set, the learning rate follows whichever of steps and time is further on."""
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Of the episodes, kept out of training."""
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=1000, ge=1)
    compile: Literal["auto", "always", "never"] = "auto"
    """Compile the energy's slope first; `auto`: where the training is long enough to win by it."""
    threads: int = Field(default=0, ge=0)
    """Of torch; 0 leaves its own choice."""
    seed: int = 0


class Recipe(_Section):
    """A whole policy, but for the data."""

    name: str
    task: str = ""
    """Learn only the episodes of this task; empty: the one task that they all have."""
    objective: ObjectiveRecipe = Field(default_factory=EquilibriumMatchingRecipe)
    model: ModelRecipe = Field(default_factory=ModelRecipe)
    encoder: EncoderRecipe = Field(default_factory=EncoderRecipe)
    observe: ObserveRecipe = Field(default_factory=ObserveRecipe)
    act: ActRecipe = Field(default_factory=ActRecipe)
    training: TrainingRecipe = Field(default_factory=TrainingRecipe)


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe of this path, or of this name in `./recipes`, the user's config folder, or those that ship.

    Raises:
        ConfigError: no such recipe, or a key or value in it is wrong.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _by_name(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"No recipe at {path}", hint="ebt train --help") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return parse_recipe({"name": path.stem} | table, source=str(path))


def recipe_for(task: str) -> Recipe:
    """The recipe that is called like a task, or the default one for that task."""
    name = task if task in list_recipes() else DEFAULT_RECIPE
    return load_recipe(name).model_copy(update={"task": task})


def parse_recipe(table: Mapping[str, Any], source: str) -> Recipe:
    """The recipe that a parsed file or a resolved copy of one describes.

    Raises:
        ConfigError: all wrong keys and values at once, each unknown key with the nearest known one.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        lines = [_explain(dict(item)) for item in error.errors()]
        raise ConfigError(f"{source}:\n  " + "\n  ".join(lines), hint="the shipped recipes list every key") from error


def list_recipes() -> list[str]:
    """Names that `load_recipe` takes, sorted."""
    return sorted({path.stem for folder in _folders() if folder.is_dir() for path in folder.glob("*.toml")})


def _folders() -> tuple[Path, ...]:
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ebt" / "recipes"
    return Path("recipes"), user, Path(str(files("ebt_recipes"))) / "recipes"


def _by_name(name: str) -> Path:
    for folder in _folders():
        if (path := folder / f"{name}.toml").is_file():
            return path
    known = list_recipes()
    near = difflib.get_close_matches(name, known, n=1)
    guess = f" did you mean {near[0]}?" if near else ""
    raise ConfigError(f"No recipe is called {name!r};{guess} known: {', '.join(known)}", hint="ebt train --help")


def _explain(item: dict[str, Any]) -> str:
    """One line of a validation error, with the nearest known key where a key is unknown."""
    where = [str(part) for part in item["loc"]]
    if item["type"] != "extra_forbidden":
        return f"{'.'.join(where)}: {item['msg']} (found {item['input']!r})"
    section = _section(where[:-1])
    known = list(section.model_fields)
    near = difflib.get_close_matches(where[-1], known, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"{'.'.join(where)}: no such key; {guess}"


def _section(where: list[str]) -> type[BaseModel]:
    """The model whose keys stand at this place; pydantic names a union's member after its section."""
    kinds: dict[str, type[BaseModel]] = {
        "equilibrium_matching": EquilibriumMatchingRecipe,
        "unrolled_ebt": UnrolledRecipe,
    }
    if len(where) > 1:
        return kinds[where[1]]
    sections: dict[str, type[BaseModel]] = {
        "model": ModelRecipe,
        "encoder": EncoderRecipe,
        "observe": ObserveRecipe,
        "act": ActRecipe,
        "training": TrainingRecipe,
    }
    return sections[where[0]] if where else Recipe
