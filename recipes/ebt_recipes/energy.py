"""The energy transformer: what the policy sees and a candidate action chunk, to one scalar; low where it fits.

Shapes: B rows, H ticks of the chunk, J joints, C context tokens, D width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ebt_recipes.batch import Observations
from ebt_recipes.encoder import ObservationEncoder, Standardise
from ebt_recipes.normalise import Statistics
from ebt_recipes.recipe import ModelRecipe, Recipe


class Block(nn.Module):
    """Pre-norm attention over the chunk and its context at once, then a feed-forward part.

    Attention is written out because PyTorch's fused kernels cannot be differentiated twice on a CPU; GELU because
    the second derivative of a ReLU is zero.
    """

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.before_feed = nn.LayerNorm(width)
        self.chunk = nn.Linear(width, 3 * width)
        self.context = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)

    def forward(self, x_BHD: Tensor, context_BCD: Tensor) -> Tensor:
        query, key, value = self.chunk(self.before_attention(x_BHD)).chunk(3, dim=-1)
        seen_key, seen_value = self.context(context_BCD).chunk(2, dim=-1)
        query = self._split(query)
        key = self._split(torch.cat([key, seen_key], dim=1))
        value = self._split(torch.cat([value, seen_value], dim=1))
        attention = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(dim=-1)
        x_BHD = x_BHD + self.out((attention @ value).transpose(1, 2).flatten(2))
        fed: Tensor = x_BHD + self.narrow(F.gelu(self.widen(self.before_feed(x_BHD))))
        return fed

    def _split(self, x_BTD: Tensor) -> Tensor:
        rows, tokens, width = x_BTD.shape
        return x_BTD.view(rows, tokens, self.heads, width // self.heads).transpose(1, 2)


class ChunkTransformer(nn.Module):
    """Chunk tokens that attend to each other and to the context; `outputs` numbers a token.

    With one output it is an energy's body; with J outputs and a time it is the vector field of a flow or diffusion
    policy of the same size, which the benchmarks compare against.
    """

    def __init__(self, recipe: ModelRecipe, horizon: int, joints: int, outputs: int, timed: bool = False) -> None:
        super().__init__()
        width = recipe.width
        self.embed = nn.Linear(joints, width)
        self.places = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.time = nn.Linear(1, width) if timed else None
        self.blocks = nn.ModuleList(Block(width, recipe.heads, recipe.expansion) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x_BHJ: Tensor, context_BCD: Tensor, time_B: Tensor | None = None) -> Tensor:
        """[B, H, outputs]."""
        tokens = self.embed(x_BHJ) + self.places
        if self.time is not None and time_B is not None:
            tokens = tokens + self.time(time_B[:, None, None])
        for block in self.blocks:
            tokens = block(tokens, context_BCD)
        out: Tensor = self.head(self.norm(tokens))
        return out


class EnergyModel(nn.Module):
    """Scores normalised chunks against what the policy sees; rows never mix."""

    def __init__(self, recipe: Recipe, cameras: tuple[str, ...], joints: int, statistics: Statistics) -> None:
        """`cameras`: those that the policy sees; `joints`: how many numbers an action has."""
        super().__init__()
        self.relative = recipe.act.relative
        self.horizon, self.joints = recipe.act.horizon, joints
        width = recipe.model.width
        inputs = (*recipe.observe.joints, *recipe.observe.privileged)
        self.encoder = ObservationEncoder(recipe.encoder, cameras, inputs, statistics, width)
        self.body = ChunkTransformer(recipe.model, self.horizon, joints, outputs=1)
        self.chunk_scale = Standardise(statistics.chunk)
        tokens = len(cameras) + len(inputs)
        self.forecast = nn.Linear(tokens * width, 2 * joints)

    @property
    def size(self) -> int:
        """Numbers in a chunk, H * J."""
        return self.horizon * self.joints

    def encode(self, observations: Observations) -> Tensor:
        """Context tokens [B, C, D]."""
        context: Tensor = self.encoder(observations)
        return context

    def energy(self, context_BCD: Tensor, x_BHJ: Tensor) -> Tensor:
        """[B], lower is surer; `x_BHJ` as `normalise` gives it.

        The bowl |x|^2 / 2 is what the energy of pure noise must be; with it the network has less to learn.
        """
        learnt: Tensor = self.body(x_BHJ, context_BCD).sum(dim=(1, 2))
        return learnt + 0.5 * x_BHJ.square().sum(dim=(1, 2))

    def gradient(self, context_BCD: Tensor, x_BHJ: Tensor, create_graph: bool = False) -> tuple[Tensor, Tensor]:
        """Energy [B] and its slope along the chunk [B, H, J].

        Without `create_graph` nothing is kept and it works under `torch.no_grad`; with it the slope can be trained.
        """
        with torch.enable_grad():
            context = context_BCD if create_graph else context_BCD.detach()
            point = x_BHJ if create_graph and x_BHJ.requires_grad else x_BHJ.detach().requires_grad_()
            energy = self.energy(context, point)
            (slope,) = torch.autograd.grad(energy.sum(), point, create_graph=create_graph)
        return (energy, slope) if create_graph else (energy.detach(), slope)

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

        Guessed from the context alone: trained beside the energy, they teach the vision tower what to look at.
        """
        event, mean = self.forecast(context_BCD.flatten(1)).chunk(2, dim=-1)
        return event, mean
