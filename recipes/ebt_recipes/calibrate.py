"""The band of normal scores, from successful rollouts of the policy itself, by split conformal prediction.

streams(paths) -> list[Stream]        the scores of new plans, from successful rollout files of a bare policy
calibrate(streams, alpha=0.05, score="energy", window=3) -> Calibration
Calibration.save(path) / Calibration.load(path) / .monitor() -> EnergyMonitor / .warning -> str
needed(alpha) -> int                  rollouts without which a rate cannot be promised

The first rollouts give the band its shape over time, mean and spread; the rest give the number of spreads k: the
ceil((n + 1)(1 - alpha))-th smallest of their largest exceedances. A new rollout that is exchangeable with those n then
leaves the band at any time of its life with probability at most alpha (Vovk, Gammerman, Shafer, Algorithmic Learning in
a Random World, 2005; for failure detection: FAIL-Detect, arXiv 2503.08558). Shaping and counting on the same rollouts
would not promise that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ebt_data.episode import Episode
from ebt_data.errors import DataError, MisuseError
from ebt_data.step import Outcome
from ebt_data.whole import write_whole
from ebt_recipes.monitor import Band, EnergyMonitor, MonitorRules, smooth

SHAPERS = 3
"""Rollouts that a mean and a spread take at least; with fewer to spare the band is constant over time."""
FLOOR = 0.2
"""Of the mean spread, added everywhere: a spread from few rollouts is now and then next to nothing."""


@dataclass(frozen=True)
class Stream:
    """The scores of the new plans of one rollout."""

    name: str
    times_s: tuple[float, ...]
    """Since the episode began."""
    scores: tuple[float, ...]


class Calibration(BaseModel):
    """What is normal for a run, as it lies beside it in `calibration.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    alpha: float
    """Stated false-alarm rate per episode."""
    n: int
    """Rollouts behind it."""
    counted: int
    """Those of them that `k` was counted on; the others shaped the band."""
    score: str
    """Name in `policy.SCORES`."""
    window: int
    """Plans averaged."""
    rollouts: tuple[str, ...]
    times_s: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    k: float

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not (len(self.times_s) == len(self.mean) == len(self.sd) > 0):
            raise ValueError("times_s, mean and sd differ in length or are empty")
        if min(self.sd) <= 0 or any(b <= a for a, b in zip(self.times_s, self.times_s[1:], strict=False)):
            raise ValueError("sd must be positive and times_s must grow")
        if not (0 < self.alpha < 1 and self.window >= 1):
            raise ValueError("alpha must lie between 0 and 1, window must be at least 1")
        return self

    @property
    def enough(self) -> bool:
        """True where the stated rate can be promised; otherwise a monitor only warns."""
        return self.counted >= needed(self.alpha)

    @property
    def warning(self) -> str:
        """What to tell the user; empty where all is well."""
        if self.enough:
            return ""
        return (
            f"{self.counted} successful rollouts cannot promise {self.alpha:.0%} false alarms per episode, which takes "
            f"{needed(self.alpha)}; rises are shown, but nothing is retried"
        )

    @property
    def band(self) -> Band:
        return Band(self.times_s, self.mean, self.sd, self.k)

    def monitor(
        self, hysteresis: float = MonitorRules.hysteresis, refractory: int = MonitorRules.refractory
    ) -> EnergyMonitor:
        """A monitor that keeps the stated rate, or only warns where there were too few rollouts."""
        return EnergyMonitor(self.band, MonitorRules(self.window, hysteresis, refractory), trusted=self.enough)

    def save(self, path: Path) -> None:
        """Write it whole or not at all.

        Raises:
            DataError: the disk is full, or the folder cannot be written.
        """
        write_whole(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Read a calibration.

        Raises:
            DataError: it is missing, no JSON, or says something it cannot mean.
        """
        hint = "ebt deploy RUN --calibrate"
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise DataError(f"No calibration at {path}", hint) from error
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
            raise DataError(f"{path}:\n  " + "\n  ".join(lines), hint) from error


def needed(alpha: float) -> int:
    """Rollouts that it takes at least to promise a false-alarm rate: 19 for 5 %."""
    return ceil(1 / alpha - 1e-9) - 1


def calibrate(streams: Sequence[Stream], alpha: float = 0.05, score: str = "energy", window: int = 3) -> Calibration:
    """Make the band that a new successful rollout leaves with probability `alpha` at most.

    With fewer than `needed(alpha)` rollouts the band is their largest exceedance and only good for warnings.

    Raises:
        MisuseError: there is no rollout or `alpha` is no rate.
        DataError: a stream is empty or holds a score that is not finite.
    """
    if not streams or not 0 < alpha < 1:
        raise MisuseError(f"{len(streams)} rollouts at alpha {alpha}: expected at least 1 and a rate between 0 and 1")
    for stream in streams:
        if not stream.scores or not np.isfinite(stream.scores).all():
            raise DataError(f"{stream.name} holds {len(stream.scores)} scores of new plans, or one that is not finite")
    smoothed = [Stream(s.name, s.times_s, tuple(smooth(s.scores, window))) for s in streams]
    # Half shapes and half counts, unless counting needs more.
    shapers = min(len(streams) // 2, len(streams) - needed(alpha))
    shapers = shapers if shapers >= SHAPERS else 0
    shape = _shape(smoothed[:shapers]) if shapers else Band((0.0,), (0.0,), (1.0,), 0.0)
    exceedances = sorted(
        max(shape.exceedance(time_s, value) for time_s, value in zip(s.times_s, s.scores, strict=True))
        for s in smoothed[shapers:]
    )
    rank = ceil((len(exceedances) + 1) * (1 - alpha) - 1e-9)
    return Calibration(
        alpha=alpha,
        n=len(streams),
        counted=len(exceedances),
        score=score,
        window=window,
        rollouts=tuple(stream.name for stream in streams),
        times_s=shape.times_s,
        mean=shape.mean,
        sd=shape.sd,
        k=exceedances[min(rank, len(exceedances)) - 1],
    )


def streams(paths: Sequence[Path]) -> list[Stream]:
    """Take the scores of new plans from successful rollouts; all other files are passed over.

    Raises:
        DataError: a rollout was watched or retried: its scores are smoothed and its attempts several.
    """
    found: list[Stream] = []
    for path in paths:
        with Episode(path) as episode:
            energy = episode.energy
            if energy is None or not episode.complete or episode.outcome is not Outcome.SUCCESS:
                continue
            if np.isfinite(energy["threshold"]).any() or (energy["attempt"] > 1).any():
                raise DataError(f"{path.name} was watched by a monitor; calibrate on the bare policy", "--calibrate")
            fresh = np.isfinite(energy["trace"]).any(axis=1)
            times_s, scores = episode.time["tick"][fresh], energy["score"][fresh]
            found.append(Stream(path.name, tuple(times_s.tolist()), tuple(scores.tolist())))
    return found


def _shape(streams: Sequence[Stream]) -> Band:
    """Mean and spread over a grid of plan periods, as far as enough rollouts last."""
    gaps_s = [late - early for s in streams for early, late in zip(s.times_s, s.times_s[1:], strict=False)]
    period_s = float(np.median(gaps_s)) if gaps_s else 1.0
    first_s = min(s.times_s[0] for s in streams)
    lasting_s = sorted(s.times_s[-1] for s in streams)[-SHAPERS]
    grid_s = np.float64(first_s) + np.float64(period_s) * np.arange(max(1, round((lasting_s - first_s) / period_s) + 1))
    values = np.stack([_sampled(stream, grid_s) for stream in streams])
    mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)
    sd = sd + max(FLOOR * float(sd.mean()), 1e-9)
    return Band(tuple(grid_s.tolist()), tuple(mean.tolist()), tuple(sd.tolist()), 0.0)


def _sampled(stream: Stream, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores on the grid, NaN after the rollout's end."""
    values: NDArray[np.float64] = np.interp(grid_s, stream.times_s, stream.scores)
    # Half a period of slack: live plans are never quite on the grid.
    slack_s = 0.5 * (grid_s[1] - grid_s[0]) if len(grid_s) > 1 else 0.0
    values[grid_s > stream.times_s[-1] + slack_s] = np.nan
    return values
