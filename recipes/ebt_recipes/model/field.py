"""The same network without an energy: a direction for every tick of a chunk, what flows and diffusions are made of."""

from torch import Tensor

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.recipe import Recipe


class FieldModel(ChunkModel):
    """Encoder, width and depth as in `EnergyModel`; J numbers a tick in place of one."""

    def __init__(
        self, recipe: Recipe, cameras: tuple[str, ...], joints: int, statistics: Statistics, timed: bool = True
    ) -> None:
        super().__init__(recipe, cameras, joints, statistics, outputs=joints, timed=timed)

    def field(self, context_BCD: Tensor, x_BHJ: Tensor, time_B: Tensor | None = None) -> Tensor:
        """[B, H, J] at `x_BHJ`, and at these times in 0 .. 1 where the field is timed."""
        direction: Tensor = self.core(x_BHJ, context_BCD, time_B)
        return direction
