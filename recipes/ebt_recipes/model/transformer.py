"""Chunk tokens that attend to each other and to the context, and the slope of what they add up to.

The slope is written out as a forward computation: training an energy by its slope then needs one backward pass in
place of a double one, which `torch.compile` cannot take, and planning needs no autograd at all.

Shapes: B rows, H ticks of the chunk, J joints, C context tokens, D width, N heads, d = D / N.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ebt_recipes.recipe import ModelRecipe

OCTAVES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Of the waves that tell a time in 0 .. 1, in turns: as transformers tell a place (arXiv 1706.03762, section 3.5)."""
Pull = Callable[[Tensor], Tensor]
"""From the slope along an output to the slope along the input that it was made from."""


class Block(nn.Module):
    """Pre-norm attention over the chunk and its context at once, then a feed-forward part.

    Attention is written out because PyTorch's fused kernels give no attention weights, which the slope needs; GELU
    because the second derivative of a ReLU is zero.
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

    def forward(self, x_BHD: Tensor, context_BCD: Tensor) -> tuple[Tensor, Pull]:
        """[B, H, D], and how to pull a slope back through it."""
        query, key, value = self.chunk(self.before_attention(x_BHD)).chunk(3, dim=-1)
        seen_key, seen_value = self.context(context_BCD).chunk(2, dim=-1)
        query = self._split(query)
        key = self._split(torch.cat([key, seen_key], dim=1))
        value = self._split(torch.cat([value, seen_value], dim=1))
        attention = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(dim=-1)
        attended = x_BHD + self.out(self._merge(attention @ value))
        widened = self.widen(self.before_feed(attended))

        def pull(slope_BHD: Tensor) -> Tensor:
            feed = (slope_BHD @ self.narrow.weight) * _gelu_slope(widened)
            slope_BHD = slope_BHD + _pull_norm(self.before_feed, attended, feed @ self.widen.weight)
            mixed = self._split(slope_BHD @ self.out.weight)
            return slope_BHD + _pull_norm(self.before_attention, x_BHD, self._pull(mixed, query, key, value, attention))

        return attended + self.narrow(F.gelu(widened)), pull

    def _pull(
        self, slope_BNHd: Tensor, query_BNHd: Tensor, key_BNTd: Tensor, value_BNTd: Tensor, attention_BNHT: Tensor
    ) -> Tensor:
        """Through the attention, [B, H, D]; T = H + C, and only the first H keys and values come from the chunk."""
        ticks = query_BNHd.shape[2]
        weights = slope_BNHd @ value_BNTd.transpose(-1, -2)
        logits = attention_BNHT * (weights - (weights * attention_BNHT).sum(-1, keepdim=True))
        logits = logits / math.sqrt(query_BNHd.shape[-1])
        own_logits, own_attention = (part[..., :ticks].transpose(-1, -2) for part in (logits, attention_BNHT))
        parts = [logits @ key_BNTd, own_logits @ query_BNHd, own_attention @ slope_BNHd]
        return torch.cat([self._merge(part) for part in parts], dim=-1) @ self.chunk.weight

    def _split(self, x_BTD: Tensor) -> Tensor:
        rows, tokens, width = x_BTD.shape
        return x_BTD.view(rows, tokens, self.heads, width // self.heads).transpose(1, 2)

    @staticmethod
    def _merge(x_BNTd: Tensor) -> Tensor:
        return x_BNTd.transpose(1, 2).flatten(2)


class ChunkTransformer(nn.Module):
    """`outputs` numbers a token of the chunk.

    With one output it is an energy's body; with J outputs and a time it is the vector field of a flow or diffusion
    policy of the same size, which the benchmarks compare against.
    """

    def __init__(self, recipe: ModelRecipe, horizon: int, joints: int, outputs: int, timed: bool = False) -> None:
        super().__init__()
        self.width = width = recipe.width
        self.embed = nn.Linear(joints, width)
        self.places = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.time = nn.Linear(2 * len(OCTAVES), width) if timed else None
        self.blocks = nn.ModuleList(Block(width, recipe.heads, recipe.expansion) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x_BHJ: Tensor, context_BCD: Tensor, time_B: Tensor | None = None) -> Tensor:
        """[B, H, outputs]."""
        tokens, _ = self._run(x_BHJ, context_BCD, time_B)
        out: Tensor = self.head(self.norm(tokens))
        return out

    def hidden(self, x_BHJ: Tensor, context_BCD: Tensor) -> Tensor:
        """What the last layer knows, the mean of its tokens, [B, D]."""
        tokens, _ = self._run(x_BHJ, context_BCD, None)
        out: Tensor = self.norm(tokens).mean(dim=1)
        return out

    def sum_and_slope(self, x_BHJ: Tensor, context_BCD: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The sum [B] of all outputs, and its slope [B, H, J] along the chunk."""
        tokens, pulls = self._run(x_BHJ, context_BCD, time_B)
        slope = _pull_norm(self.norm, tokens, self.head.weight.sum(dim=0).expand_as(tokens))
        for pull in reversed(pulls):
            slope = pull(slope)
        return self.head(self.norm(tokens)).sum(dim=(1, 2)), slope @ self.embed.weight

    def _run(self, x_BHJ: Tensor, context_BCD: Tensor, time_B: Tensor | None) -> tuple[Tensor, list[Pull]]:
        tokens = self.embed(x_BHJ) + self.places
        if self.time is not None and time_B is not None:
            tokens = tokens + self.time(_waves(time_B))[:, None]
        pulls = []
        for block in self.blocks:
            tokens, pull = block(tokens, context_BCD)
            pulls.append(pull)
        return tokens, pulls


def _waves(time_B: Tensor) -> Tensor:
    """[B, 2 * octaves]."""
    angle = 2 * math.pi * time_B[:, None] * time_B.new_tensor(OCTAVES)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _gelu_slope(x: Tensor) -> Tensor:
    """Of x * Phi(x), Phi the normal distribution: Phi(x) + x * phi(x) (arXiv 1606.08415, section 2)."""
    above = 0.5 * (1 + torch.erf(x * math.sqrt(0.5)))
    return above + x * torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)


def _pull_norm(norm: nn.LayerNorm, x: Tensor, slope: Tensor) -> Tensor:
    """The slope along a layer normalisation's input (arXiv 1607.06450): along x, less its parts that the norm removes."""
    normal = F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
    scale = (x.var(dim=-1, correction=0, keepdim=True) + norm.eps).rsqrt()
    slope = slope * norm.weight
    return scale * (slope - slope.mean(-1, keepdim=True) - normal * (slope * normal).mean(-1, keepdim=True))
