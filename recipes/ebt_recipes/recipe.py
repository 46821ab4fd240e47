"""A recipe: what a policy sees, what it is made of and how it is trained, as one TOML file."""

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
"""Name of the input that `past_actions` adds."""


class ModelRecipe(Section):
    """The energy transformer."""

    width: int = Field(default=64, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    expansion: int = Field(default=2, ge=1)
    """Of the feed-forward part."""
    bowl: bool = True
    """Add |x|^2 / 2 to the energy, what noise alone must cost, so that the network has less to learn."""


class EncoderRecipe(Section):
    """The vision tower, one for each camera, and the joint encoding."""

    image_size: int = Field(default=96, ge=16)
    """Pixels on a side; whatever the camera gives is shrunk to a square of it."""
    channels: tuple[int, int, int] = (16, 16, 32)
    """Of the three convolutions, the first at stride 4; the last is the number of keypoints."""
    shift_px: int = Field(default=2, ge=0)
    """Random shift in training, up to so many pixels each way."""
    jitter: float = Field(default=0.1, ge=0)
    """Random brightness and contrast in training, as a fraction."""
    zoom_rad: float = Field(default=0.03, ge=0)
    """Width about the mean pose in which joint positions are magnified: about the precision that the task wants. 0: not."""
    zoom_state: float = Field(default=0.0, ge=0)
    """Likewise of privileged state about zero, in its own unit: for what is told relative to the hand."""


class ObserveRecipe(Section):
    """What the policy sees."""

    cameras: tuple[str, ...] | None = None
    """Names; none of them where empty, every camera of the episodes where left out."""
    joints: tuple[Literal["position", "velocity", "effort"], ...] = ("position",)
    """Readings; `position` must be among them. Velocity and effort tell what was done just before, and a policy that
    copies that stops looking: docs/lab-notes.md."""
    privileged: tuple[str, ...] = ()
    """Object poses that only the twin knows. Naming one makes the policy a cheat that no real bench can run."""
    past_actions: int = Field(default=0, ge=0)
    """Ticks of what was asked for before, so that a policy may stay with what it began; 0: it does not know."""
    past_noise: float = Field(default=1.0, ge=0)
    """Of those in training, in their own spreads: enough to tell which way, and not what to copy."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Everything but pictures, by name."""
        return (*self.joints, *((PAST,) if self.past_actions else ()), *self.privileged)

    @field_validator("joints")
    @classmethod
    def _position_is_seen(cls, joints: tuple[str, ...]) -> tuple[str, ...]:
        if "position" not in joints:
            raise ValueError("position must be among the joint readings: chunks are planned from it")
        return joints


class ActRecipe(Section):
    """What the policy does."""

    horizon: int = Field(default=8, ge=1)
    """Ticks a chunk covers."""
    execute: int = Field(default=4, ge=1)
    """Ticks of it that are run before the next plan."""
    latency_s: float = Field(default=0.05, ge=0)
    """In lock-step time a plan becomes available so long after its observation."""
    within_s: float = Field(default=0.0, ge=0)
    """Live, a plan takes fewer steps rather than longer than this, by the pace of those before it; 0: always all."""
    relative: bool = True
    """Chunks are relative to the measured pose at planning time; otherwise absolute goals."""
    samples: int = Field(default=1, ge=1)
    """Plans drawn from different noise each time; the best is taken."""
    closeness: float = Field(default=0.0, ge=0)
    """What the best of several may cost in energy per dimension for one squared deviation nearer to the plan in use."""
    warm_level: float = Field(default=0.0, ge=0, lt=1)
    """How much of the plan in use is blended into the noise that a new plan starts from."""
    keep_below: float = Field(default=0.0, ge=0)
    """Go on with the plan in use while the root mean square of its slope under what is seen now is below; 0: never."""
    floor_rad: float = Field(default=0.02, gt=0)
    """Least spread that an action is normalised by, so that idle joints do not become noise."""


class TrainingRecipe(Section):
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
    pictures: Literal["memory", "cache", "files"] = "memory"
    """Where the shrunk pictures are: in memory, decoded anew when training begins; in `.shrunk` beside the episodes, decoded
    by the first training and held by none; or nowhere, each decoded again whenever it is learnt from."""
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Of the episodes, kept out of training."""
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=1000, ge=1)
    compile: Literal["auto", "always", "never"] = "auto"
    """Compile the energy's slope first; `auto`: where the training is long enough to win by it."""
    threads: int = Field(default=0, ge=0)
    """Of torch; 0 leaves its own choice."""
    seed: int = 0


class Recipe(Section):
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
    near = nearest(name, known)
    guess = f" did you mean {near}?" if near else ""
    raise ConfigError(f"No recipe is called {name!r};{guess} known: {', '.join(known)}", hint="ebt train --help")


def _explain(item: dict[str, Any]) -> str:
    """One line of a validation error, with the nearest known key where a key is unknown."""
    where = [str(part) for part in item["loc"]]
    if item["type"] != "extra_forbidden":
        return f"{'.'.join(where)}: {item['msg']} (found {item['input']!r})"
    section = _section(where[:-1])
    known = list(section.model_fields)
    near = nearest(where[-1], known)
    guess = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    return f"{'.'.join(where)}: no such key; {guess}"


def _section(where: list[str]) -> type[BaseModel]:
    """The model whose keys stand at this place; pydantic names a union's member after its section."""
    kinds: dict[str, type[BaseModel]] = {
        kind.model_fields["kind"].default: kind for kind in get_args(get_args(ObjectiveRecipe)[0])
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
