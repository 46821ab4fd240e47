"""Thresholds of scores from successful rollouts of the policy itself, by split conformal prediction.

ScoreSeries(name, times_s, scores)    scores of the new plans of one success; `score_log.py` records them
calibrate(series, alpha=0.05, score="energy", window=3) -> Calibration; score="energy+tail" monitors both together
Calibration.save(path) / Calibration.load(path) / .monitor() -> EnergyMonitor / .warning -> str
needed(alpha, score="energy") -> int  rollouts needed to guarantee a false-alarm rate

The first rollouts fit each score's mean and standard deviation over time; the rest calibrate k, the number of standard
deviations: the ceil((n + 1)(1 - alpha))-th smallest of their n largest exceedances, over time and over the scores. A
new rollout that is exchangeable with those n then exceeds any threshold at any time with probability at most alpha
(Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005; for failure detection: FAIL-Detect, arXiv
2503.08558). Fitting and calibrating on the same rollouts would not guarantee that.
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
from ebt_data.files.atomic_files import write_atomic
from ebt_recipes.uncertainty.monitor import ConformalThreshold, EnergyMonitor, MonitorRules, smooth

MIN_FIT = 3
"""Minimum of rollouts for a mean and a standard deviation; with fewer, a single score's threshold is constant."""
CLOCK = "elapsed"
"""Name of the score that is compared with the duration of successes."""
FLOOR = 0.2
"""Fraction of the mean standard deviation added at all times: from few rollouts it can come out close to zero."""


@dataclass(frozen=True)
class ScoreSeries:
    """The scores of the new plans of one rollout."""

    name: str
    times_s: tuple[float, ...]
    """Time since the episode started."""
    scores: tuple[float, ...] | tuple[tuple[float, ...], ...]
    """One per plan, or a tuple per plan with one of every kind."""


class Calibration(BaseModel):
    """Calibrated thresholds of a run, stored in its `calibration.json`: S scores over a grid of T times."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    alpha: float
    """Stated false-alarm rate per episode."""
    n: int
    """Number of rollouts."""
    counted: int
    """Rollouts that calibrated `k`; the others fitted `mean` and `sd`."""
    score: str
    """Name in `scores.SCORES`, or several joined by `+`: `energy+tail`."""
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
        """Accept [T] from files written before several scores were supported."""
        flat = isinstance(value, list | tuple) and not any(isinstance(row, list | tuple) for row in value)
        return [value] if flat else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (len(self.mean) == len(self.sd) == len(names(self.score))):
            raise ValueError(f"mean and sd must hold one row for each of {self.score}")
        if not self.times_s or any(len(row) != len(self.times_s) for row in (*self.mean, *self.sd)):
            raise ValueError("times_s, mean and sd differ in length or are empty")
        if min(map(min, self.sd)) <= 0 or any(b <= a for a, b in zip(self.times_s, self.times_s[1:], strict=False)):
            raise ValueError("sd must be positive and times_s must increase")
        if not (0 < self.alpha < 1 and self.window >= 1):
            raise ValueError("alpha must lie between 0 and 1, window must be at least 1")
        return self

    @property
    def enough(self) -> bool:
        """Whether the stated rate can be guaranteed; otherwise alarms are only recorded."""
        return self.counted >= needed(self.alpha) and self.n >= needed(self.alpha, self.score)

    @property
    def rate(self) -> str:
        """The stated false-alarm rate as text: `5%`."""
        return f"{100 * self.alpha:g}%"

    @property
    def warning(self) -> str:
        """Warning for the user; empty if there are enough rollouts."""
        if self.enough:
            return ""
        return (
            f"{self.n} successful rollouts cannot guarantee {self.rate} false alarms per episode, which needs "
            f"{needed(self.alpha, self.score)}; alarms are shown, but nothing is retried"
        )

    @property
    def thresholds(self) -> tuple[ConformalThreshold, ...]:
        """One per score, all with the same `k`."""
        rows = zip(names(self.score), self.mean, self.sd, strict=True)
        return tuple(ConformalThreshold(self.times_s, mean, sd, self.k, name == CLOCK) for name, mean, sd in rows)

    def monitor(
        self, hysteresis: float = MonitorRules.hysteresis, refractory: int = MonitorRules.refractory
    ) -> EnergyMonitor:
        """A monitor at the stated rate; with too few rollouts its alarms are only recorded."""
        return EnergyMonitor(self.thresholds, MonitorRules(self.window, hysteresis, refractory), trusted=self.enough)

    def save(self, path: Path) -> None:
        """Write the file atomically.

        Raises:
            DataError: the disk is full, or the folder cannot be written.
        """
        write_atomic(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Read a calibration.

        Raises:
            DataError: it is missing, not JSON, or has invalid values.
        """
        hint = f"ebt deploy {path.parent} --calibrate 100"
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise DataError(f"No calibration at {path}", hint) from error
        except ValidationError as error:
            messages = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
            raise DataError(f"{path}:\n  " + "\n  ".join(messages), hint) from error


def names(score: str) -> tuple[str, ...]:
    """Split a joined name: `energy+tail` into `energy` and `tail`."""
    return tuple(score.split("+"))


def needed(alpha: float, score: str = "energy") -> int:
    """Minimum of rollouts to guarantee a false-alarm rate: 19 for 5%, 49 for 2%.

    Several scores need three more: they are only comparable in units of their standard deviations.
    """
    return ceil(1 / alpha - 1e-9) - 1 + (MIN_FIT if len(names(score)) > 1 else 0)


def calibrate(
    series: Sequence[ScoreSeries], alpha: float = 0.05, score: str = "energy", window: int = 3
) -> Calibration:
    """Compute the thresholds that a new successful rollout exceeds with probability `alpha` at most.

    With fewer than `needed(alpha, score)` rollouts they are at the largest exceedance, without a guarantee.

    Raises:
        MisuseError: there is no rollout, or `alpha` is not between 0 and 1.
        DataError: a series is empty, lacks one of the scores, or contains one that is not finite.
    """
    if not series or not 0 < alpha < 1:
        raise MisuseError(f"{len(series)} rollouts at alpha {alpha}: expected at least 1 and a rate between 0 and 1")
    curves = [_curves(each, score, window) for each in series]  # rollouts x scores
    fitting = _fit_count(len(series), alpha, score)
    fitted = _fit_all(curves[:fitting], names(score))
    exceedances = sorted(
        max(_largest_exceedance(threshold, curve) for threshold, curve in zip(fitted, rollout, strict=True))
        for rollout in curves[fitting:]
    )
    rank = ceil((len(exceedances) + 1) * (1 - alpha) - 1e-9)
    return Calibration(
        alpha=alpha,
        n=len(series),
        counted=len(exceedances),
        score=score,
        window=window,
        rollouts=tuple(each.name for each in series),
        times_s=fitted[0].times_s,
        mean=tuple(threshold.mean for threshold in fitted),
        sd=tuple(threshold.sd for threshold in fitted),
        k=exceedances[min(rank, len(exceedances)) - 1],
    )


class _Curve(NamedTuple):
    """One score of one rollout, smoothed."""

    times_s: tuple[float, ...]
    values: list[float]


def _curves(series: ScoreSeries, score: str, window: int) -> list[_Curve]:
    """One curve per score."""
    plans = [tuple(plan) if isinstance(plan, Sequence) else (plan,) for plan in series.scores]
    expected = names(score)
    if not plans or any(len(plan) != len(expected) or not all(map(isfinite, plan)) for plan in plans):
        raise DataError(f"{series.name} has no new plan, or one without a finite {' and '.join(expected)}")
    return [_Curve(series.times_s, smooth(values, window)) for values in zip(*plans, strict=True)]


def _fit_all(curves: Sequence[Sequence[_Curve]], scores: Sequence[str]) -> list[ConformalThreshold]:
    """Mean and standard deviation of each score over one grid of times, k = 0; constants if there are no curves."""
    if not curves:
        return [ConformalThreshold((0.0,), (0.0,), (1.0,), 0.0, name == CLOCK) for name in scores]
    by_score = dict(zip(scores, zip(*curves, strict=True), strict=True))
    fitted = {name: _fit(each) for name, each in by_score.items() if name != CLOCK}
    grid_s = next((threshold.times_s for threshold in fitted.values()), (0.0,))
    return [fitted[name] if name in fitted else _fit_clock(by_score[name], grid_s) for name in scores]


def _fit_clock(curves: Sequence[_Curve], grid_s: tuple[float, ...]) -> ConformalThreshold:
    """Mean and standard deviation of the rollouts' durations, the same at all times."""
    duration_s = np.array([curve.times_s[-1] for curve in curves])
    sd_s = float(duration_s.std(ddof=1))
    sd_s += max(FLOOR * sd_s, 1e-9)
    return ConformalThreshold(grid_s, (float(duration_s.mean()),) * len(grid_s), (sd_s,) * len(grid_s), 0.0, clock=True)


def _fit_count(rollouts: int, alpha: float, score: str) -> int:
    """Rollouts for fitting: half, unless calibrating `k` needs more; 0 makes the thresholds constant."""
    number = min(rollouts // 2, rollouts - needed(alpha))
    if len(names(score)) > 1:
        number = max(number, MIN_FIT)
    return number if MIN_FIT <= number < rollouts else 0


def _largest_exceedance(threshold: ConformalThreshold, curve: _Curve) -> float:
    return max(threshold.exceedance(time_s, value) for time_s, value in zip(curve.times_s, curve.values, strict=True))


def _fit(curves: Sequence[_Curve]) -> ConformalThreshold:
    """Mean and standard deviation over a grid of plan periods, while at least `MIN_FIT` rollouts last."""
    gaps_s = [late - early for c in curves for early, late in zip(c.times_s, c.times_s[1:], strict=False)]
    period_s = float(np.median(gaps_s)) if gaps_s else 1.0
    first_s = min(curve.times_s[0] for curve in curves)
    end_s = sorted(curve.times_s[-1] for curve in curves)[-MIN_FIT]
    grid_s = np.float64(first_s) + np.float64(period_s) * np.arange(max(1, round((end_s - first_s) / period_s) + 1))
    values = np.stack([_resampled(curve, grid_s) for curve in curves])
    mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)
    sd = sd + max(FLOOR * float(sd.mean()), 1e-9)
    return ConformalThreshold(tuple(grid_s.tolist()), tuple(mean.tolist()), tuple(sd.tolist()), 0.0)


def _resampled(curve: _Curve, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values on the grid, NaN after the rollout's end."""
    values: NDArray[np.float64] = np.interp(grid_s, curve.times_s, curve.values)
    # Half a period of tolerance: live plans are never exactly on the grid.
    tolerance_s = 0.5 * (grid_s[1] - grid_s[0]) if len(grid_s) > 1 else 0.0
    values[grid_s > curve.times_s[-1] + tolerance_s] = np.nan
    return values
