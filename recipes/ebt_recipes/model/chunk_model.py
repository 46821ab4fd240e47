"""Base of all policy networks: observation encoder, chunk normalisation, and an auxiliary prediction head.

Shapes: B rows, H ticks of the chunk, J joints, C context tokens, D width.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ebt_recipes.model.batch import Observations
from ebt_recipes.model.encoder import Normaliser, ObservationEncoder
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
        """`cameras`: those that the policy observes; `joints`: numbers per action; `outputs`: numbers per tick."""
        super().__init__()
        self.relative = recipe.act.relative
        self.horizon, self.joints = recipe.act.horizon, joints
        width = recipe.model.width
        inputs = recipe.observe.inputs
        self.encoder = ObservationEncoder(recipe.encoder, cameras, inputs, statistics, width)
        self.body = ChunkTransformer(recipe.model, self.horizon, joints, outputs, timed)
        self.chunk_scale = Normaliser(statistics.chunk)
        self.tokens = len(cameras) + len(inputs)
        """C."""
        self.forecast = nn.Linear(self.tokens * width, 2 * joints)
        self.core: Callable[..., Any] = self.body.forward
        """Called by every step of training and sampling; `compiling` replaces it by its compiled version."""

    @property
    def size(self) -> int:
        """Numbers in a chunk, H * J."""
        return self.horizon * self.joints

    def encode(self, observations: Observations) -> Tensor:
        """Context tokens [B, C, D]."""
        context: Tensor = self.encoder(observations)
        return context

    def normalise(self, chunk_BHJ: Tensor, position_BJ: Tensor) -> Tensor:
        """Goals in rad to numbers about one, relative to the pose `position_BJ` if the recipe says so."""
        offset = position_BJ[:, None] if self.relative else 0
        x: Tensor = self.chunk_scale(chunk_BHJ - offset)
        return x

    def denormalise(self, x_BHJ: Tensor, position_BJ: Tensor) -> Tensor:
        """The inverse of `normalise`: absolute goals in rad."""
        offset = position_BJ[:, None] if self.relative else 0
        return self.chunk_scale.inverse(x_BHJ) + offset

    def predict_auxiliary(self, context_BCD: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted pose at the next gripper event [B, J] and mean of the chunk [B, J], both normalised.

        Predicted from the context alone: an auxiliary loss on them trains the vision encoder.
        """
        event, mean = self.forecast(context_BCD.flatten(1)).chunk(2, dim=-1)
        return event, mean
