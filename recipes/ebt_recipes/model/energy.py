"""The energy transformer: maps observations and a candidate action chunk to a scalar, low if they match.

Shapes: B rows, H ticks of the chunk, J joints, C context tokens, D width.
"""

from torch import Tensor

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.recipe import Recipe


class EnergyModel(ChunkModel):
    """Energy of normalised action chunks given the observations."""

    def __init__(
        self, recipe: Recipe, cameras: tuple[str, ...], joints: int, statistics: Statistics, timed: bool = False
    ) -> None:
        """`timed`: the energy also depends on the noise level."""
        super().__init__(recipe, cameras, joints, statistics, outputs=1, timed=timed)
        self.bowl = float(recipe.model.bowl)
        self.core = self.body.sum_and_gradient

    def energy(self, context_BCD: Tensor, x_BHJ: Tensor, time_B: Tensor | None = None) -> Tensor:
        """Energy [B], lower for likelier chunks; `x_BHJ` as `normalise` returns it.

        `bowl` adds |x|^2 / 2, the energy that pure noise must have, so that the network has less to learn.
        """
        output: Tensor = self.body(x_BHJ, context_BCD, time_B).sum(dim=(1, 2))
        return output + 0.5 * self.bowl * x_BHJ.square().sum(dim=(1, 2))

    def gradient(self, context_BCD: Tensor, x_BHJ: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Energy [B] and its gradient [B, H, J] with respect to the chunk; both trainable, neither needs autograd."""
        output, gradient = self.core(x_BHJ, context_BCD, time_B)
        return output + 0.5 * self.bowl * x_BHJ.square().sum(dim=(1, 2)), gradient + self.bowl * x_BHJ
