"""Reference statistics of a trained policy on its own demonstrations, fitted after training.

Shapes: B rows, F features of an observation, D width, M stored observations (`memories`).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

HIDDEN, UPDATES, BATCH, RATE = 64, 500, 256, 3e-3
MEMORIES = 2000
"""Stored observations for the nearest-neighbour search; more were slower and no better."""
RIDGE = 0.01
"""Fraction of the mean variance added to a covariance's diagonal before inversion."""


class Reference(nn.Module):
    """Three out-of-distribution scores of a plan: from its energy, its hidden states, and its observation."""

    feature_mean: Tensor
    feature_std: Tensor
    energy_mean: Tensor
    energy_std: Tensor
    hidden_mean: Tensor
    hidden_whitener: Tensor
    memories: Tensor

    def __init__(self, features: int, width: int, memories: int = MEMORIES) -> None:
        """Create an unfitted reference; `features` is F, `width` D, `memories` M."""
        super().__init__()
        self.usual = nn.Sequential(
            nn.Linear(features, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 2)
        )
        for name, shape in {
            "feature_mean": (features,),
            "feature_std": (features,),
            "energy_mean": (),
            "energy_std": (),
            "hidden_mean": (width,),
            "hidden_whitener": (width, width),
            "memories": (memories, features),
        }.items():
            self.register_buffer(name, torch.zeros(shape))

    def excess(self, features_BF: Tensor, energy_B: Tensor) -> Tensor:
        """Energy above its expected value for this observation, in standard deviations, [B].

        This removes the part of an energy that the observation alone explains.
        """
        mean, log_std = self.usual(self._standard(features_BF)).unbind(-1)
        scaled = (energy_B - self.energy_mean) / self.energy_std
        excess: Tensor = (scaled - mean) * torch.exp(-log_std.clamp(-4, 4))
        return excess

    def strangeness(self, hidden_BD: Tensor) -> Tensor:
        """Mahalanobis distance of the network's hidden states for observation and plan, over sqrt(D), [B]."""
        white = (hidden_BD - self.hidden_mean) @ self.hidden_whitener
        distance: Tensor = white.square().mean(dim=1).sqrt()
        return distance

    def distance(self, features_BF: Tensor) -> Tensor:
        """Distance to the nearest demonstrated observation, root mean square over standardised features, [B]."""
        distance: Tensor = (
            torch.cdist(self._standard(features_BF), self.memories).amin(dim=1) / self.memories.shape[1] ** 0.5
        )
        return distance

    def fit(self, features_NF: Tensor, energy_N: Tensor, hidden_ND: Tensor, seed: int = 0) -> None:
        """Fit to plans for N demonstrated observations, sampled as the policy samples them."""
        generator = torch.Generator().manual_seed(seed)
        self.feature_mean, self.feature_std = features_NF.mean(dim=0), features_NF.std(dim=0).clamp(min=1e-3)
        self.energy_mean, self.energy_std = energy_N.mean(), energy_N.std().clamp(min=1e-6)
        self.hidden_mean = hidden_ND.mean(dim=0)
        self.hidden_whitener = _whitener(hidden_ND - self.hidden_mean)
        rows = torch.randint(len(features_NF), (len(self.memories),), generator=generator)
        self.memories = self._standard(features_NF[rows])
        self._fit_usual(self._standard(features_NF), (energy_N - self.energy_mean) / self.energy_std, generator)

    def _fit_usual(self, features: Tensor, energy: Tensor, generator: torch.Generator) -> None:
        """Fit mean and log standard deviation by the likelihood of a normal distribution."""
        optimiser = torch.optim.AdamW(self.usual.parameters(), RATE, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, UPDATES)
        for rows in _batches(len(features), generator):
            mean, log_std = self.usual(features[rows]).unbind(-1)
            log_std = log_std.clamp(-4, 4)
            loss = (0.5 * ((energy[rows] - mean) * torch.exp(-log_std)).square() + log_std).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        self.requires_grad_(False)

    def _standard(self, features: Tensor) -> Tensor:
        return (features - self.feature_mean) / self.feature_std


def _batches(rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(UPDATES):
        yield torch.randint(rows, (BATCH,), generator=generator)


def _whitener(offsets_ND: Tensor) -> Tensor:
    """Whitening matrix [D, D]: the norm of an offset's product with it is the Mahalanobis distance."""
    covariance = offsets_ND.T @ offsets_ND / max(1, len(offsets_ND) - 1)
    ridge = RIDGE * covariance.diagonal().mean().clamp(min=1e-12)
    values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(len(covariance)))
    whitener: Tensor = vectors * values.rsqrt()
    return whitener
