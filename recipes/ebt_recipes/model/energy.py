"""The energy transformer: what the policy sees and a candidate action chunk, to one scalar; low where it fits.

Shapes: B rows, H ticks of the chunk, J joints, C context tokens, D width.
"""

from torch import Tensor

from ebt_recipes.model.chunk_model import ChunkModel
from ebt_recipes.model.normalization import Statistics
from ebt_recipes.recipe import Recipe


class EnergyModel(ChunkModel):
    """Scores normalised chunks against what the policy sees."""

    def __init__(
        self, recipe: Recipe, cameras: tuple[str, ...], joints: int, statistics: Statistics, timed: bool = False
    ) -> None:
        """`timed`: a landscape of its own for every noise level, in place of one for all."""
        super().__init__(recipe, cameras, joints, statistics, outputs=1, timed=timed)
        self.bowl = float(recipe.model.bowl)
        self.core = self.body.sum_and_slope

    def energy(self, context_BCD: Tensor, x_BHJ: Tensor, time_B: Tensor | None = None) -> Tensor:
        """[B], lower is surer; `x_BHJ` as `normalise` gives it.

        The bowl |x|^2 / 2 is what the energy of pure noise must be; with it the network has less to learn.
        """
        learnt: Tensor = self.body(x_BHJ, context_BCD, time_B).sum(dim=(1, 2))
        return learnt + 0.5 * self.bowl * x_BHJ.square().sum(dim=(1, 2))

    def gradient(self, context_BCD: Tensor, x_BHJ: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Energy [B] and its slope along the chunk [B, H, J]; both can be trained, and neither needs autograd."""
        learnt, slope = self.core(x_BHJ, context_BCD, time_B)
        return learnt + 0.5 * self.bowl * x_BHJ.square().sum(dim=(1, 2)), slope + self.bowl * x_BHJ
