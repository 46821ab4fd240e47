"""The same network without an energy: a vector for every tick of a chunk, for flow matching and diffusion."""

from torch import Tensor

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.recipe import Recipe


class FieldModel(ChunkModel):
    """Vector field with the encoder, width and depth of `EnergyModel`: J outputs per tick in place of one."""

    def __init__(
        self, recipe: Recipe, cameras: tuple[str, ...], joints: int, statistics: Statistics, timed: bool = True
    ) -> None:
        super().__init__(recipe, cameras, joints, statistics, outputs=joints, timed=timed)

    def field(self, context_BCD: Tensor, x_BHJ: Tensor, time_B: Tensor | None = None) -> Tensor:
        """The field [B, H, J] at `x_BHJ`, and at these times in 0 .. 1 if the field depends on time."""
        vectors: Tensor = self.core(x_BHJ, context_BCD, time_B)
        return vectors
