"""What every policy network has: eyes, a scale for chunks, and a guess that teaches the eyes.

Shapes: B rows, H ticks of the chunk, J joints, C context tokens, D width.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.encoder import ObservationEncoder, Standardise
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.model.transformer import ChunkTransformer
from ebt_recipes.recipe import Recipe


class ChunkModel(nn.Module):
    """An encoder of observations and a transformer over the ticks of a chunk; rows never mix."""

    def __init__(
        self,
        recipe: Recipe,
        cameras: tuple[str, ...],
        joints: int,
        statistics: Statistics,
        outputs: int = 1,
        timed: bool = False,
    ) -> None:
        """`cameras`: those that the policy sees; `joints`: how many numbers an action has; `outputs`: of each tick."""
        super().__init__()
        self.relative = recipe.act.relative
        self.horizon, self.joints = recipe.act.horizon, joints
        width = recipe.model.width
        inputs = recipe.observe.inputs
        self.encoder = ObservationEncoder(recipe.encoder, cameras, inputs, statistics, width)
        self.body = ChunkTransformer(recipe.model, self.horizon, joints, outputs, timed)
        self.chunk_scale = Standardise(statistics.chunk)
        self.tokens = len(cameras) + len(inputs)
        """C."""
        self.forecast = nn.Linear(self.tokens * width, 2 * joints)
        self.core: Callable[..., Any] = self.body.forward
        """What every step of training and sampling calls; `compiling` puts the same, compiled, in its place."""

    @property
    def size(self) -> int:
        """Numbers in a chunk, H * J."""
        return self.horizon * self.joints

    def encode(self, observations: Observations) -> Tensor:
        """Context tokens [B, C, D]."""
        context: Tensor = self.encoder(observations)
        return context

    def normalise(self, chunk_BHJ: Tensor, position_BJ: Tensor) -> Tensor:
        """Goals in rad to numbers about one, from the pose `position_BJ` where the recipe says relative."""
        offset = position_BJ[:, None] if self.relative else 0
        x: Tensor = self.chunk_scale(chunk_BHJ - offset)
        return x

    def denormalise(self, x_BHJ: Tensor, position_BJ: Tensor) -> Tensor:
        """The other way: absolute goals in rad."""
        offset = position_BJ[:, None] if self.relative else 0
        return self.chunk_scale.inverse(x_BHJ) + offset

    def foresee(self, context_BCD: Tensor) -> tuple[Tensor, Tensor]:
        """The pose at the next gripper event [B, J] and the chunk's mean [B, J], both standardised.

        Guessed from the context alone: trained beside the rest, they teach the vision tower what to look at.
        """
        event, mean = self.forecast(context_BCD.flatten(1)).chunk(2, dim=-1)
        return event, mean
