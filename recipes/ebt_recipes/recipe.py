"""A recipe: the observations, network, objective and training of a policy, as one TOML file."""

import os
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator

from ebt_data.errors import ConfigError
from ebt_data.nearest import nearest
from ebt_recipes.objective_recipe import EquilibriumMatchingRecipe, ObjectiveRecipe, Section

DEFAULT_RECIPE = "pick_place"
PAST = "past"
"""Name of the input that `past_actions` adds to the observations."""


class ModelRecipe(Section):
    """The energy transformer."""

    width: int = Field(default=64, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    expansion: int = Field(default=2, ge=1)
    """Hidden width of the feed-forward layers, as a multiple of `width`."""
    bowl: bool = True
    """Add |x|^2 / 2, the energy that pure noise must have, so that the network has less to learn."""


class EncoderRecipe(Section):
    """The vision encoders, one for each camera, and the encoding of joint readings."""

    image_size: int = Field(default=96, ge=16)
    """Pixels on a side; camera images are resized to a square of this size."""
    channels: tuple[int, int, int] = (16, 16, 32)
    """Of the three convolutions, the first at stride 4; the last is the number of keypoints."""
    shift_px: int = Field(default=2, ge=0)
    """Random shift in training, at most this many pixels in each direction."""
    jitter: float = Field(default=0.1, ge=0)
    """Random brightness and contrast in training, as a fraction."""
    zoom_rad: float = Field(default=0.03, ge=0)
    """Width about the mean pose within which joint positions are magnified: about the task's precision. 0: off."""
    zoom_state: float = Field(default=0.0, ge=0)
    """The same for privileged state about zero, in its own unit: for poses relative to the gripper."""


class ObserveRecipe(Section):
    """The observations of the policy."""

    cameras: tuple[str, ...] | None = None
    """Names; no camera if empty, every camera of the episodes if left out."""
    joints: tuple[Literal["position", "velocity", "effort"], ...] = ("position",)
    """Readings; `position` must be among them. Velocity and effort reveal the previous action, and a policy that copies
    it ignores the cameras: docs/lab-notes/image-policies.md."""
    privileged: tuple[str, ...] = ()
    """Object poses, available only in the twin. A policy that uses one cannot run on a real bench."""
    past_actions: int = Field(default=0, ge=0)
    """Ticks of past actions in the observation, so that a policy can continue what it started; 0: none."""
    past_noise: float = Field(default=1.0, ge=0)
    """Noise on past actions in training, in their standard deviations: they show a direction, but cannot be copied."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """All inputs but images, by name."""
        return (*self.joints, *((PAST,) if self.past_actions else ()), *self.privileged)

    @field_validator("joints")
    @classmethod
    def _require_position(cls, joints: tuple[str, ...]) -> tuple[str, ...]:
        if "position" not in joints:
            raise ValueError("position must be among the joint readings: chunks are planned from it")
        return joints


class ActRecipe(Section):
    """How plans are sampled and executed."""

    horizon: int = Field(default=8, ge=1)
    """Ticks in a chunk."""
    execute: int = Field(default=4, ge=1)
    """Ticks of it that are executed before the next plan."""
    latency_s: float = Field(default=0.05, ge=0)
    """In lock-step time, a plan becomes available this long after its observation."""
    within_s: float = Field(default=0.0, ge=0)
    """Live, the longest that a plan may take; it gets fewer steps if earlier plans predict more. 0: no limit."""
    relative: bool = True
    """Chunks are relative to the measured pose at planning time; otherwise they are absolute goals."""
    samples: int = Field(default=1, ge=1)
    """Candidate plans sampled from different noise each time; the best one is used."""
    closeness: float = Field(default=0.0, ge=0)
    """Weight, in energy per dimension, of the squared distance to the current plan when choosing among candidates."""
    warm_level: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the current plan blended into the noise that a new plan starts from."""
    keep_below: float = Field(default=0.0, ge=0)
    """Keep the current plan while the root mean square of its gradient, given new observations, is below; 0: never."""
    floor_rad: float = Field(default=0.02, gt=0)
    """Lower bound of the standard deviation that normalises an action, so that idle joints' noise stays small."""


class TrainingRecipe(Section):
    """Optimiser, batches, schedule and checkpoints."""

    batch: int = Field(default=64, ge=1)
    """Observations per update."""
    shards: int = Field(default=2, ge=1)
    """Parts of a batch that are differentiated in parallel, each with its own noise: one per core is fastest."""
    learning_rate: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=1e-6, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    clip: float = Field(default=1.0, gt=0)
    """Maximum global norm of the gradient."""
    ema: float = Field(default=0.995, ge=0, lt=1)
    max_steps: int = Field(default=6000, ge=1)
    time_limit_s: float | None = Field(default=None, gt=0)
    """Wall time; if set, the learning rate follows whichever of steps and time has progressed further."""
    pictures: Literal["memory", "cache", "files"] = "memory"
    """Where resized images are kept: in memory, decoded when training starts; in `.shrunk` beside the episodes, decoded
    by the first training and not held in memory; or nowhere, each decoded from its file whenever used."""
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the episodes held out of training."""
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=1000, ge=1)
    compile: Literal["auto", "always", "never"] = "auto"
    """Compile the energy's gradient first; `auto`: if the training is long enough to save time by it."""
    threads: int = Field(default=0, ge=0)
    """Threads of torch; 0: its default."""
    seed: int = 0


class Recipe(Section):
    """Everything that defines a policy, except the data."""

    name: str
    task: str = ""
    """Train only on the episodes of this task; empty: the one task that they all have."""
    objective: ObjectiveRecipe = Field(default_factory=EquilibriumMatchingRecipe)
    model: ModelRecipe = Field(default_factory=ModelRecipe)
    encoder: EncoderRecipe = Field(default_factory=EncoderRecipe)
    observe: ObserveRecipe = Field(default_factory=ObserveRecipe)
    act: ActRecipe = Field(default_factory=ActRecipe)
    training: TrainingRecipe = Field(default_factory=TrainingRecipe)


def load_recipe(name_or_path: str) -> Recipe:
    """Load a recipe from a path, or by name from `./recipes`, the user's config folder or the shipped recipes.

    Raises:
        ConfigError: there is no such recipe, or it has a wrong key or value.
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
    """The recipe with the task's name, or else the default recipe with its task set."""
    name = task if task in list_recipes() else DEFAULT_RECIPE
    return load_recipe(name).model_copy(update={"task": task})


def parse_recipe(table: Mapping[str, Any], source: str) -> Recipe:
    """Validate a recipe from a parsed file or from a resolved copy of one.

    Raises:
        ConfigError: lists all wrong keys and values at once, each unknown key with the nearest known one.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        lines = [_explain(dict(item)) for item in error.errors()]
        raise ConfigError(f"{source}:\n  " + "\n  ".join(lines), hint="the shipped recipes list every key") from error


def list_recipes() -> list[str]:
    """Names that `load_recipe` accepts, sorted."""
    return sorted({path.stem for folder in _folders() if folder.is_dir() for path in folder.glob("*.toml")})


def _folders() -> tuple[Path, ...]:
    user = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ebt" / "recipes"
    return Path("recipes"), user, Path(str(files("ebt_recipes"))) / "recipes"


def _by_name(name: str) -> Path:
    for folder in _folders():
        if (path := folder / f"{name}.toml").is_file():
            return path
    known = list_recipes()
    near = nearest(name, known)
    suggestion = f" did you mean {near}?" if near else ""
    raise ConfigError(f"No recipe is called {name!r};{suggestion} known: {', '.join(known)}", hint="ebt train --help")


def _explain(item: dict[str, Any]) -> str:
    """One line for a validation error; for an unknown key, with the nearest known key."""
    location = [str(part) for part in item["loc"]]
    if item["type"] != "extra_forbidden":
        return f"{'.'.join(location)}: {item['msg']} (found {item['input']!r})"
    section = _section(location[:-1])
    known = list(section.model_fields)
    near = nearest(location[-1], known)
    suggestion = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    return f"{'.'.join(location)}: no such key; {suggestion}"


def _section(location: list[str]) -> type[BaseModel]:
    """The model that defines the keys at this location; pydantic puts a union member's tag after its section."""
    kinds: dict[str, type[BaseModel]] = {
        kind.model_fields["kind"].default: kind for kind in get_args(get_args(ObjectiveRecipe)[0])
    }
    if len(location) > 1:
        return kinds[location[1]]
    sections: dict[str, type[BaseModel]] = {
        "model": ModelRecipe,
        "encoder": EncoderRecipe,
        "observe": ObserveRecipe,
        "act": ActRecipe,
        "training": TrainingRecipe,
    }
    return sections[location[0]] if location else Recipe
