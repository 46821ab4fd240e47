"""What a policy can be trained to do, as sections of a recipe; each has its objective in a file of its own."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of a recipe: no unknown keys, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Any(Section):
    noise_samples: int = Field(default=2, ge=1)
    """Noises for each observation of a batch: the vision tower runs once for all of them."""
    forecast_weight: float = Field(default=0.1, ge=0)
    """Of guessing the pose at the next gripper event and the chunk's mean from the observation alone."""


class DescentRecipe(_Any):
    """What samplers share that take steps until their slope is flat."""

    tolerance: float = Field(default=0.0, ge=0)
    """The first step along a slope whose root mean square is below is a plan's last; 0 spends every step."""
    step_sizes: tuple[float, ...] = (1.0, 0.2, 0.2)
    """Of the sampler, one a descent step; asked for more steps, it repeats the last."""

    @property
    def usual_steps(self) -> int:
        """Of the sampler, where nobody says otherwise."""
        return len(self.step_sizes)


class EquilibriumMatchingRecipe(DescentRecipe):
    """Equilibrium matching with an explicit energy (arXiv 2510.02300), and two terms that give its level a meaning."""

    kind: Literal["equilibrium_matching"] = "equilibrium_matching"
    flat_until: float = Field(default=0.8, ge=0, lt=1)
    """c(t) is 1 until here, then falls linearly to 0 at the data."""
    level_weight: float = Field(default=0.2, ge=0)
    """Regresses the energy to the potential that the target gradient integrates to."""
    negative_weight: float = Field(default=0.1, ge=0)
    """Asks that the true chunk cost more under a corrupted observation."""
    stride: Literal["fixed", "level", "even"] = "fixed"
    """`fixed`: `step_sizes`. `level`: as far as the energy's level says that the data are. `even`: that, shared evenly
    among the steps that are left."""


class UnrolledRecipe(DescentRecipe):
    """The paper's objective (arXiv 2510.27545): descend a few steps from noise, regress every iterate to the chunk.

    Its two published configurations are the recipes `ebt_october` and `ebt_november`.
    """

    kind: Literal["unrolled_ebt"] = "unrolled_ebt"
    steps: int = Field(default=2, ge=1)
    """PlanService steps in training."""
    extra_steps: int = Field(default=1, ge=0)
    """Up to so many more, drawn anew for each batch."""
    step_size: float = Field(default=1.0, gt=0)
    """Of the slope of the summed energy. The paper's 1000 is of the mean over 112 numbers: 8.9 of the sum."""
    step_jitter: float = Field(default=1.5, ge=1)
    """In training each sample's step is scaled by U[1/jitter, jitter]."""
    energy_scaled: bool = False
    """Multiply the step by exp(energy per dimension) / temperature, the energy clamped to [-3, 3]."""
    temperature: float = Field(default=1.0, gt=0)
    scale_learns: bool = True
    """Let the loss reach the energy through that factor, too."""
    rms_norm: bool = False
    """Divide each iterate by its root mean square before every step; a row by its own, so that rows never mix."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Nesterov."""
    langevin: tuple[float, float] = (0.001, 0.1)
    """Noise added before each training step, annealed by a cosine from the second to the first; none when sampling."""
    mixed_start: bool = True
    """Start training anywhere between noise and data; from noise alone the minimiser is the mean of all modes."""
    unroll: bool = False
    """Back-propagate through the whole chain; otherwise each step learns by itself."""
    last_only: bool = False
    """Regress the last iterate alone; otherwise every one."""
    step_sizes: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)


class AnnealedRecipe(_Any):
    """An energy for every noise level (after IRED, arXiv 2406.11179): its slope is the noise that was added."""

    kind: Literal["annealed"] = "annealed"
    levels: int = Field(default=10, ge=2)
    """Landscapes, from noise to data by a cosine."""
    steps: int = Field(default=4, ge=1)
    """Of the sampler: landscapes that it visits, evenly spread."""

    @property
    def usual_steps(self) -> int:
        return self.steps


class EquilibriumFieldRecipe(DescentRecipe):
    """Equilibrium matching without an energy: the same target, learnt by a vector field of the same network."""

    kind: Literal["equilibrium_field"] = "equilibrium_field"
    flat_until: float = Field(default=0.8, ge=0, lt=1)


class RegressionRecipe(_Any):
    """The mean of what the demonstrators did, in one step."""

    kind: Literal["regression"] = "regression"

    @property
    def usual_steps(self) -> int:
        return 1


class IterativeRegressionRecipe(_Any):
    """MIP (arXiv 2512.01809): regress, then regress again from a noised guess; two steps, no distribution."""

    kind: Literal["mip"] = "mip"
    second_time: float = Field(default=0.9, gt=0, lt=1)

    @property
    def usual_steps(self) -> int:
        return 2


class FlowRecipe(_Any):
    """Flow matching along straight lines from noise to data (arXiv 2210.02747)."""

    kind: Literal["flow"] = "flow"
    steps: int = Field(default=9, ge=1)
    """Euler steps of the sampler."""

    @property
    def usual_steps(self) -> int:
        return self.steps


class DiffusionRecipe(_Any):
    """Diffusion Policy (arXiv 2303.04137) on this network: predicts the noise, 100 levels, squared cosine."""

    kind: Literal["diffusion"] = "diffusion"
    levels: int = Field(default=100, ge=2)
    steps: int = Field(default=10, ge=1)
    """Of the sampler: DDIM with fewer than `levels`, DDPM with all of them."""

    @property
    def usual_steps(self) -> int:
        return self.steps


ObjectiveRecipe = Annotated[
    EquilibriumMatchingRecipe
    | UnrolledRecipe
    | AnnealedRecipe
    | EquilibriumFieldRecipe
    | RegressionRecipe
    | IterativeRegressionRecipe
    | FlowRecipe
    | DiffusionRecipe,
    Field(discriminator="kind"),
]
