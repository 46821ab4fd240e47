"""Transformer over chunk tokens and context, and the gradient of the sum of its outputs.

The gradient is written out as a forward computation. Training on an energy's gradient then needs one backward pass
instead of a double one, which `torch.compile` does not support, and planning needs no autograd at all.

Shapes: B rows, H ticks of the chunk, J joints, C context tokens, D width, N heads, d = D / N.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ebt_recipes.recipe import ModelRecipe

FREQUENCIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Of the sinusoidal embedding of a time in 0 .. 1, in cycles per unit time (arXiv 1706.03762, section 3.5)."""
VJP = Callable[[Tensor], Tensor]
"""Vector-Jacobian product: from the gradient of an output to the gradient of its input."""


class Block(nn.Module):
    """Pre-norm attention over the chunk and its context together, then a feed-forward layer.

    Attention is written out because PyTorch's fused kernels return no attention weights, which the gradient needs; GELU
    is used because the second derivative of a ReLU is zero.
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

    def forward(self, x_BHD: Tensor, context_BCD: Tensor) -> tuple[Tensor, VJP]:
        """Output [B, H, D] and the block's vector-Jacobian product."""
        query, key, value = self.chunk(self.before_attention(x_BHD)).chunk(3, dim=-1)
        context_key, context_value = self.context(context_BCD).chunk(2, dim=-1)
        query = self._split(query)
        key = self._split(torch.cat([key, context_key], dim=1))
        value = self._split(torch.cat([value, context_value], dim=1))
        attention = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).softmax(dim=-1)
        attended = x_BHD + self.out(self._merge(attention @ value))
        widened = self.widen(self.before_feed(attended))

        def vjp(gradient_BHD: Tensor) -> Tensor:
            feed = (gradient_BHD @ self.narrow.weight) * _gelu_derivative(widened)
            gradient_BHD = gradient_BHD + _layer_norm_vjp(self.before_feed, attended, feed @ self.widen.weight)
            mixed = self._split(gradient_BHD @ self.out.weight)
            return gradient_BHD + _layer_norm_vjp(
                self.before_attention, x_BHD, self._attention_vjp(mixed, query, key, value, attention)
            )

        return attended + self.narrow(F.gelu(widened)), vjp

    def _attention_vjp(
        self, gradient_BNHd: Tensor, query_BNHd: Tensor, key_BNTd: Tensor, value_BNTd: Tensor, attention_BNHT: Tensor
    ) -> Tensor:
        """Gradient of the attention's input, [B, H, D]; T = H + C, the first H keys and values come from the chunk."""
        ticks = query_BNHd.shape[2]
        weights = gradient_BNHd @ value_BNTd.transpose(-1, -2)
        logits = attention_BNHT * (weights - (weights * attention_BNHT).sum(-1, keepdim=True))
        logits = logits / math.sqrt(query_BNHd.shape[-1])
        chunk_logits, chunk_attention = (part[..., :ticks].transpose(-1, -2) for part in (logits, attention_BNHT))
        parts = [logits @ key_BNTd, chunk_logits @ query_BNHd, chunk_attention @ gradient_BNHd]
        return torch.cat([self._merge(part) for part in parts], dim=-1) @ self.chunk.weight

    def _split(self, x_BTD: Tensor) -> Tensor:
        rows, tokens, width = x_BTD.shape
        return x_BTD.view(rows, tokens, self.heads, width // self.heads).transpose(1, 2)

    @staticmethod
    def _merge(x_BNTd: Tensor) -> Tensor:
        return x_BNTd.transpose(1, 2).flatten(2)


class ChunkTransformer(nn.Module):
    """Transformer with `outputs` numbers per token of the chunk.

    With one output it computes an energy; with J outputs and a time it is the vector field of a flow or diffusion
    policy of the same size, a baseline of the benchmarks.
    """

    def __init__(self, recipe: ModelRecipe, horizon: int, joints: int, outputs: int, timed: bool = False) -> None:
        super().__init__()
        self.width = width = recipe.width
        self.embed = nn.Linear(joints, width)
        self.places = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.time = nn.Linear(2 * len(FREQUENCIES), width) if timed else None
        self.blocks = nn.ModuleList(Block(width, recipe.heads, recipe.expansion) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x_BHJ: Tensor, context_BCD: Tensor, time_B: Tensor | None = None) -> Tensor:
        """Outputs [B, H, outputs]."""
        tokens, _ = self._run(x_BHJ, context_BCD, time_B)
        out: Tensor = self.head(self.norm(tokens))
        return out

    def hidden(self, x_BHJ: Tensor, context_BCD: Tensor) -> Tensor:
        """Mean of the last layer's tokens, [B, D]."""
        tokens, _ = self._run(x_BHJ, context_BCD, None)
        out: Tensor = self.norm(tokens).mean(dim=1)
        return out

    def sum_and_gradient(
        self, x_BHJ: Tensor, context_BCD: Tensor, time_B: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The sum [B] of all outputs, and its gradient [B, H, J] with respect to the chunk."""
        tokens, vjps = self._run(x_BHJ, context_BCD, time_B)
        gradient = _layer_norm_vjp(self.norm, tokens, self.head.weight.sum(dim=0).expand_as(tokens))
        for vjp in reversed(vjps):
            gradient = vjp(gradient)
        return self.head(self.norm(tokens)).sum(dim=(1, 2)), gradient @ self.embed.weight

    def _run(self, x_BHJ: Tensor, context_BCD: Tensor, time_B: Tensor | None) -> tuple[Tensor, list[VJP]]:
        tokens = self.embed(x_BHJ) + self.places
        if self.time is not None and time_B is not None:
            tokens = tokens + self.time(_time_embedding(time_B))[:, None]
        vjps = []
        for block in self.blocks:
            tokens, vjp = block(tokens, context_BCD)
            vjps.append(vjp)
        return tokens, vjps


def _time_embedding(time_B: Tensor) -> Tensor:
    """Sinusoidal embedding [B, 2 * frequencies]."""
    angle = 2 * math.pi * time_B[:, None] * time_B.new_tensor(FREQUENCIES)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _gelu_derivative(x: Tensor) -> Tensor:
    """Derivative of x * Phi(x), Phi the normal distribution: Phi(x) + x * phi(x) (arXiv 1606.08415, section 2)."""
    cdf = 0.5 * (1 + torch.erf(x * math.sqrt(0.5)))
    return cdf + x * torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)


def _layer_norm_vjp(norm: nn.LayerNorm, x: Tensor, gradient: Tensor) -> Tensor:
    """Gradient with respect to a layer normalisation's input (arXiv 1607.06450), without the components it removes."""
    normalised = F.layer_norm(x, norm.normalized_shape, eps=norm.eps)
    scale = (x.var(dim=-1, correction=0, keepdim=True) + norm.eps).rsqrt()
    gradient = gradient * norm.weight
    return scale * (
        gradient - gradient.mean(-1, keepdim=True) - normalised * (gradient * normalised).mean(-1, keepdim=True)
    )
