"""The bands of normal scores, from successful rollouts of the policy itself, by split conformal prediction.

Stream(name, times_s, scores)         of the new plans of one success; `score_log.py` takes them down
calibrate(streams, alpha=0.05, score="energy", window=3) -> Calibration; score="energy+tail" watches both at once
Calibration.save(path) / Calibration.load(path) / .monitor() -> EnergyMonitor / .warning -> str
needed(alpha, score="energy") -> int  rollouts without which a rate cannot be promised

The first rollouts give the band of each score its shape over time, mean and spread; the rest give the number of spreads
k: the ceil((n + 1)(1 - alpha))-th smallest of their largest exceedances, over time and over the scores. A new rollout
that is exchangeable with those n then leaves any band at any time of its life with probability at most alpha (Vovk,
Gammerman, Shafer, Algorithmic Learning in a Random World, 2005; for failure detection: FAIL-Detect, arXiv 2503.08558).
Shaping and counting on the same rollouts would not promise that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from ebt_data.errors import DataError, MisuseError
from ebt_data.files.atomic_files import write_whole
from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor, MonitorRules, smooth

SHAPERS = 3
"""Rollouts that a mean and a spread take at least; with fewer to spare one score's band is constant."""
CLOCK = "elapsed"
"""This score is held against how long successes take."""
FLOOR = 0.2
"""Of the mean spread, added everywhere: a spread from few rollouts is now and then next to nothing."""


@dataclass(frozen=True)
class Stream:
    """The scores of the new plans of one rollout."""

    name: str
    times_s: tuple[float, ...]
    """Since the episode began."""
    scores: tuple[float, ...] | tuple[tuple[float, ...], ...]
    """One a plan, or for each plan one of every kind."""


class Calibration(BaseModel):
    """What is normal for a run, as it lies beside it in `calibration.json`: S scores over a grid of T times."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    alpha: float
    """Stated false-alarm rate per episode."""
    n: int
    """Rollouts behind it."""
    counted: int
    """Those of them that `k` was counted on; the others shaped the bands."""
    score: str
    """Name in `scores.SCORES`; several are joined: `energy+tail`."""
    window: int
    """Plans averaged."""
    rollouts: tuple[str, ...]
    times_s: tuple[float, ...]
    mean: tuple[tuple[float, ...], ...]
    """[S, T]"""
    sd: tuple[tuple[float, ...], ...]
    """[S, T]"""
    k: float

    @field_validator("mean", "sd", mode="before")
    @classmethod
    def _as_rows(cls, value: object) -> object:
        """Files from before there were several scores hold [T]."""
        flat = isinstance(value, list | tuple) and not any(isinstance(row, list | tuple) for row in value)
        return [value] if flat else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not (len(self.mean) == len(self.sd) == len(names(self.score))):
            raise ValueError(f"mean and sd must hold one row for each of {self.score}")
        if not self.times_s or any(len(row) != len(self.times_s) for row in (*self.mean, *self.sd)):
            raise ValueError("times_s, mean and sd differ in length or are empty")
        if min(map(min, self.sd)) <= 0 or any(b <= a for a, b in zip(self.times_s, self.times_s[1:], strict=False)):
            raise ValueError("sd must be positive and times_s must grow")
        if not (0 < self.alpha < 1 and self.window >= 1):
            raise ValueError("alpha must lie between 0 and 1, window must be at least 1")
        return self

    @property
    def enough(self) -> bool:
        """True where the stated rate can be promised; otherwise a monitor only warns."""
        return self.counted >= needed(self.alpha) and self.n >= needed(self.alpha, self.score)

    @property
    def rate(self) -> str:
        """The stated false-alarm rate in words: `5%`."""
        return f"{100 * self.alpha:g}%"

    @property
    def warning(self) -> str:
        """What to tell the user; empty where all is well."""
        if self.enough:
            return ""
        return (
            f"{self.n} successful rollouts cannot promise {self.rate} false alarms per episode, which takes "
            f"{needed(self.alpha, self.score)}; rises are shown, but nothing is retried"
        )

    @property
    def thresholds(self) -> tuple[ConformalThreshold, ...]:
        """One for each score, all with the same `k`."""
        rows = zip(names(self.score), self.mean, self.sd, strict=True)
        return tuple(ConformalThreshold(self.times_s, mean, sd, self.k, name == CLOCK) for name, mean, sd in rows)

    def monitor(
        self, hysteresis: float = MonitorRules.hysteresis, refractory: int = MonitorRules.refractory
    ) -> EnergyMonitor:
        """A monitor that keeps the stated rate, or only warns where there were too few rollouts."""
        return EnergyMonitor(self.thresholds, MonitorRules(self.window, hysteresis, refractory), trusted=self.enough)

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
        hint = f"ebt deploy {path.parent} --calibrate 100"
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise DataError(f"No calibration at {path}", hint) from error
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
            raise DataError(f"{path}:\n  " + "\n  ".join(lines), hint) from error


def names(score: str) -> tuple[str, ...]:
    """Take a joined name apart: `energy+tail` is `energy` and `tail`."""
    return tuple(score.split("+"))


def needed(alpha: float, score: str = "energy") -> int:
    """Rollouts that it takes at least to promise a false-alarm rate: 19 for 5%, 49 for 2%.

    Several scores take three more: without spreads they could not be held against each other.
    """
    return ceil(1 / alpha - 1e-9) - 1 + (SHAPERS if len(names(score)) > 1 else 0)


def calibrate(streams: Sequence[Stream], alpha: float = 0.05, score: str = "energy", window: int = 3) -> Calibration:
    """Make the bands that a new successful rollout leaves with probability `alpha` at most.

    With fewer than `needed(alpha, score)` rollouts they reach to the largest exceedance and are only good for warnings.

    Raises:
        MisuseError: there is no rollout or `alpha` is no rate.
        DataError: a stream is empty, lacks one of the scores or holds one that is not finite.
    """
    if not streams or not 0 < alpha < 1:
        raise MisuseError(f"{len(streams)} rollouts at alpha {alpha}: expected at least 1 and a rate between 0 and 1")
    curves = [_curves(stream, score, window) for stream in streams]  # rollouts x scores
    shapers = _shapers(len(streams), alpha, score)
    shapes = _shapes(curves[:shapers], names(score))
    exceedances = sorted(
        max(_peak(shape, curve) for shape, curve in zip(shapes, rollout, strict=True)) for rollout in curves[shapers:]
    )
    rank = ceil((len(exceedances) + 1) * (1 - alpha) - 1e-9)
    return Calibration(
        alpha=alpha,
        n=len(streams),
        counted=len(exceedances),
        score=score,
        window=window,
        rollouts=tuple(stream.name for stream in streams),
        times_s=shapes[0].times_s,
        mean=tuple(shape.mean for shape in shapes),
        sd=tuple(shape.sd for shape in shapes),
        k=exceedances[min(rank, len(exceedances)) - 1],
    )


class _Curve(NamedTuple):
    """One score of one rollout, smoothed."""

    times_s: tuple[float, ...]
    values: list[float]


def _curves(stream: Stream, score: str, window: int) -> list[_Curve]:
    """One curve for each score."""
    plans = [tuple(plan) if isinstance(plan, Sequence) else (plan,) for plan in stream.scores]
    expected = names(score)
    if not plans or any(len(plan) != len(expected) or not all(map(isfinite, plan)) for plan in plans):
        raise DataError(f"{stream.name} holds no new plan, or one without a finite {' and '.join(expected)}")
    return [_Curve(stream.times_s, smooth(values, window)) for values in zip(*plans, strict=True)]


def _shapes(curves: Sequence[Sequence[_Curve]], scores: Sequence[str]) -> list[ConformalThreshold]:
    """A band for each score, all over one grid of times; flat where there is nothing to shape them by."""
    if not curves:
        return [ConformalThreshold((0.0,), (0.0,), (1.0,), 0.0, name == CLOCK) for name in scores]
    by_score = dict(zip(scores, zip(*curves, strict=True), strict=True))
    shaped = {name: _shape(each) for name, each in by_score.items() if name != CLOCK}
    grid_s = next((shape.times_s for shape in shaped.values()), (0.0,))
    return [shaped[name] if name in shaped else _clock(by_score[name], grid_s) for name in scores]


def _clock(curves: Sequence[_Curve], grid_s: tuple[float, ...]) -> ConformalThreshold:
    """How long rollouts take, the same at all times."""
    lasted_s = np.array([curve.times_s[-1] for curve in curves])
    spread_s = float(lasted_s.std(ddof=1))
    spread_s += max(FLOOR * spread_s, 1e-9)
    return ConformalThreshold(
        grid_s, (float(lasted_s.mean()),) * len(grid_s), (spread_s,) * len(grid_s), 0.0, clock=True
    )


def _shapers(rollouts: int, alpha: float, score: str) -> int:
    """How many shape the bands: half of them, unless counting needs more; 0 leaves the bands flat."""
    number = min(rollouts // 2, rollouts - needed(alpha))
    if len(names(score)) > 1:
        number = max(number, SHAPERS)
    return number if SHAPERS <= number < rollouts else 0


def _peak(shape: ConformalThreshold, curve: _Curve) -> float:
    return max(shape.exceedance(time_s, value) for time_s, value in zip(curve.times_s, curve.values, strict=True))


def _shape(curves: Sequence[_Curve]) -> ConformalThreshold:
    """Mean and spread over a grid of plan periods, as far as enough rollouts last."""
    gaps_s = [late - early for c in curves for early, late in zip(c.times_s, c.times_s[1:], strict=False)]
    period_s = float(np.median(gaps_s)) if gaps_s else 1.0
    first_s = min(curve.times_s[0] for curve in curves)
    lasting_s = sorted(curve.times_s[-1] for curve in curves)[-SHAPERS]
    grid_s = np.float64(first_s) + np.float64(period_s) * np.arange(max(1, round((lasting_s - first_s) / period_s) + 1))
    values = np.stack([_sampled(curve, grid_s) for curve in curves])
    mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)
    sd = sd + max(FLOOR * float(sd.mean()), 1e-9)
    return ConformalThreshold(tuple(grid_s.tolist()), tuple(mean.tolist()), tuple(sd.tolist()), 0.0)


def _sampled(curve: _Curve, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values on the grid, NaN after the rollout's end."""
    values: NDArray[np.float64] = np.interp(grid_s, curve.times_s, curve.values)
    # Half a period of slack: live plans are never quite on the grid.
    slack_s = 0.5 * (grid_s[1] - grid_s[0]) if len(grid_s) > 1 else 0.0
    values[grid_s > curve.times_s[-1] + slack_s] = np.nan
    return values
