"""The `objective` sections of a recipe; each is implemented in a file of `objectives/`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of a recipe: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _CommonRecipe(Section):
    noise_samples: int = Field(default=2, ge=1)
    """Noise samples for each observation of a batch: the vision encoder runs once for all of them."""
    forecast_weight: float = Field(default=0.1, ge=0)
    """Weight of predicting the pose at the next gripper event and the chunk's mean from the observation alone."""


class DescentRecipe(_CommonRecipe):
    """Keys of samplers that descend until the gradient is small."""

    tolerance: float = Field(default=0.0, ge=0)
    """The first step whose gradient has a root mean square below this is a plan's last; 0: all steps are taken."""
    step_sizes: tuple[float, ...] = (1.0, 0.2, 0.2)
    """Of the sampler, one for each descent step; further steps repeat the last."""

    @property
    def default_steps(self) -> int:
        """Steps of the sampler, unless a budget sets them."""
        return len(self.step_sizes)


class EquilibriumMatchingRecipe(DescentRecipe):
    """Equilibrium matching with an explicit energy (arXiv 2510.02300), and two terms that give its value a meaning."""

    kind: Literal["equilibrium_matching"] = "equilibrium_matching"
    flat_until: float = Field(default=0.8, ge=0, lt=1)
    """c(t) is 1 up to this t, then falls linearly to 0 at the data."""
    level_weight: float = Field(default=0.2, ge=0)
    """Weight of regressing the energy to the integral of the target gradient."""
    negative_weight: float = Field(default=0.1, ge=0)
    """Weight of requiring a higher energy of the true chunk under a corrupted observation."""
    stride: Literal["fixed", "level", "even"] = "fixed"
    """`fixed`: `step_sizes`. `level`: the distance to the data that the energy's value implies. `even`: that distance,
    divided evenly among the remaining steps."""


class UnrolledRecipe(DescentRecipe):
    """The paper's objective (arXiv 2510.27545): descend a few steps from noise, regress every iterate to the chunk.

    Its two published configurations are the recipes `ebt_october` and `ebt_november`.
    """

    kind: Literal["unrolled_ebt"] = "unrolled_ebt"
    steps: int = Field(default=2, ge=1)
    """Descent steps in training."""
    extra_steps: int = Field(default=1, ge=0)
    """Up to this many more, drawn for each batch."""
    step_size: float = Field(default=1.0, gt=0)
    """Factor of the summed energy's gradient. The paper's 1000 is for the mean over 112 numbers: 8.9 for the sum."""
    step_jitter: float = Field(default=1.5, ge=1)
    """In training each sample's step is scaled by U[1/jitter, jitter]."""
    energy_scaled: bool = False
    """Multiply the step by exp(energy per dimension) / temperature, the energy clamped to [-3, 3]."""
    temperature: float = Field(default=1.0, gt=0)
    scale_learns: bool = True
    """Back-propagate the loss to the energy through that factor too."""
    rms_norm: bool = False
    """Divide each iterate by its root mean square before every step; each row by its own, so that rows never mix."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Nesterov momentum."""
    langevin: tuple[float, float] = (0.001, 0.1)
    """Noise added before each training step, annealed by a cosine from the second to the first; none when sampling."""
    mixed_start: bool = True
    """Start training descents between noise and data; from noise alone the minimiser is the mean of all modes."""
    unroll: bool = False
    """Back-propagate through the whole chain; otherwise through each step separately."""
    last_only: bool = False
    """Regress the last iterate alone; otherwise every one."""
    step_sizes: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)


class AnnealedRecipe(_CommonRecipe):
    """An energy for every noise level (after IRED, arXiv 2406.11179): its gradient is the added noise."""

    kind: Literal["annealed"] = "annealed"
    levels: int = Field(default=10, ge=2)
    """Noise levels, from noise to data by a cosine schedule."""
    steps: int = Field(default=4, ge=1)
    """Of the sampler: noise levels that it visits, evenly spaced."""

    @property
    def default_steps(self) -> int:
        return self.steps


class EquilibriumFieldRecipe(DescentRecipe):
    """Equilibrium matching without an energy: the same target, learnt by a vector field of the same network."""

    kind: Literal["equilibrium_field"] = "equilibrium_field"
    flat_until: float = Field(default=0.8, ge=0, lt=1)


class RegressionRecipe(_CommonRecipe):
    """Regression to the mean of the demonstrated actions, in one step."""

    kind: Literal["regression"] = "regression"

    @property
    def default_steps(self) -> int:
        return 1


class IterativeRegressionRecipe(_CommonRecipe):
    """MIP (arXiv 2512.01809): regress, then regress again from a noised prediction; two steps, no distribution."""

    kind: Literal["mip"] = "mip"
    second_time: float = Field(default=0.9, gt=0, lt=1)

    @property
    def default_steps(self) -> int:
        return 2


class FlowRecipe(_CommonRecipe):
    """Flow matching along straight lines from noise to data (arXiv 2210.02747)."""

    kind: Literal["flow"] = "flow"
    steps: int = Field(default=9, ge=1)
    """Euler steps of the sampler."""

    @property
    def default_steps(self) -> int:
        return self.steps


class DiffusionRecipe(_CommonRecipe):
    """Diffusion Policy (arXiv 2303.04137) on this network: predicts the noise, 100 levels, squared cosine."""

    kind: Literal["diffusion"] = "diffusion"
    levels: int = Field(default=100, ge=2)
    steps: int = Field(default=10, ge=1)
    """Of the sampler: DDIM with fewer than `levels`, DDPM with all of them."""

    @property
    def default_steps(self) -> int:
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
