"""When a detector alarms, at a false-alarm rate that all are promised in the same way, and how good that is.

fit(detector: str, calibration: Watched, alpha, window) -> Alarm         from successes alone
judge(alarm, tests: {failure: Watched}, usual) -> {failure or "all": Figures}

All by the product's calibration: conformal bands over time, several scores under one rate.

Shapes: N rollouts, P plans, E episodes that are judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.uncertainty.failures import NATURAL
from benchmarks.uncertainty.measures import auroc, balanced_accuracy, share, timely_accuracy
from benchmarks.worlds.watched import Watched
from ebt_recipes.uncertainty.conformal import Calibration, Stream, calibrate, names

Values = NDArray[np.float64]
OVERALL = "all"
FEWEST_SUCCESSES = 60
"""With fewer nothing is calibrated: 49 are needed for 2 %, and the bands have to be shaped by some, too."""


@dataclass(frozen=True)
class Alarm:
    """A detector, one score or several joined by `+`, with its thresholds."""

    thresholds: Calibration

    @property
    def scores(self) -> tuple[str, ...]:
        return names(self.thresholds.score)

    def margins(self, watched: Watched) -> Values:
        """[N, P] spreads above what is allowed; alarmed above 0, NaN once a rollout is over."""
        times_s = watched.times_s
        found = np.full((len(watched.lasted), len(times_s)), -np.inf)
        for score, band in zip(self.scores, self.thresholds.thresholds, strict=True):
            mean, sd = (np.interp(times_s, band.times_s, values) for values in (band.mean, band.sd))
            read = times_s if band.clock else smoothed(watched.scores[score], self.thresholds.window)
            found = np.maximum(found, (read - mean) / sd - band.k)
        return np.where(np.arange(len(times_s)) < watched.plans[:, None], found, np.nan)


def fit(detector: str, calibration: Watched, alpha: float, window: int) -> Alarm:
    """Thresholds which a new success passes with a probability of `alpha` at most."""
    return Alarm(calibrate(streams(calibration, names(detector)), alpha, detector, window))


def streams(watched: Watched, scores: Sequence[str]) -> list[Stream]:
    """Of the successes, as the product's calibration takes them."""
    found = []
    for row in np.flatnonzero(watched.succeeded):
        plans = int(watched.plans[row])
        times_s = watched.times_s[:plans].tolist()
        values = np.stack([watched.scores[score][row, :plans] for score in scores], axis=1)
        found.append(Stream(str(row), tuple(times_s), tuple(map(tuple, values.tolist()))))
    return found


def smoothed(scores_NP: Values, window: int) -> Values:
    """Every score averaged with up to `window - 1` before it, as the product's monitor does."""
    total = np.cumsum(np.nan_to_num(scores_NP), axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return np.where(np.isnan(scores_NP), np.nan, total / np.minimum(np.arange(scores_NP.shape[1]) + 1, window))


@dataclass(frozen=True)
class Judged:
    """Episodes under one alarm."""

    failed: NDArray[np.bool_]
    """[E]"""
    peak: Values
    """[E] largest margin of the episode."""
    early_peak: Values
    """[E] the same over no longer than a usual success takes."""
    alarm_at: Values
    """[E] share of the episode that had passed at the alarm; inf: none."""
    delay: Values
    """[E] steps from the disturbance, or from the start where there is none, to the alarm; inf: none."""

    def part(self, some: NDArray[np.bool_]) -> "Judged":
        return Judged(*(values[some] for values in vars(self).values()))

    @classmethod
    def join(cls, several: Sequence["Judged"]) -> "Judged":
        return cls(*(np.concatenate(each) for each in zip(*(vars(one).values() for one in several), strict=True)))


@dataclass(frozen=True)
class Figures:
    """How good an alarm is; shares in 0..1, NaN where there is nothing to count."""

    failures: int
    successes: int
    auroc: float
    early_auroc: float
    """From no later plans than a usual success has, so that failures are not told by lasting longer."""
    balanced: float
    called: float
    """Share of failures: the true positive rate."""
    false_alarms: float
    """Share of undisturbed successes."""
    timely: float
    delay: float
    """Median of called failures, in steps since the disturbance began to show; NaN without one."""
    delay_share: float
    """Median of called failures, as a share of the episode."""
    recovered: int
    """Episodes that were disturbed and succeeded all the same."""
    recovered_alarmed: int


def look(alarm: Alarm, watched: Watched, usual: int, disturbed: bool) -> Judged:
    """Judge every episode; of disturbed ones only those that the disturbance reached.

    An alarm before the disturbance could be seen is not counted as one.
    """
    margins = alarm.margins(watched)
    steps = np.arange(margins.shape[1]) * watched.execute
    since = np.where(np.isfinite(watched.began), watched.began, 0.0)
    called = (margins > 0) & (steps >= since[:, None])
    at = np.where(called.any(axis=1), called.argmax(axis=1) * watched.execute, np.inf)
    early = np.where(steps <= usual, margins, -np.inf)
    peaks = (np.nanmax(values, axis=1) for values in (margins, early))
    judged = Judged(~watched.succeeded, *peaks, at / watched.lasted, at - since)
    return judged.part(np.isfinite(watched.began)) if disturbed else judged


def judge(alarm: Alarm, tests: Mapping[str, Watched], usual: int) -> dict[str, Figures]:
    """By failure, against undisturbed successes; and overall, all failures against all successes."""
    looked = {name: look(alarm, watched, usual, name != NATURAL.name) for name, watched in tests.items()}
    clean = looked[NATURAL.name].part(~looked[NATURAL.name].failed)
    found = {name: figures(Judged.join([judged.part(judged.failed), clean]), clean) for name, judged in looked.items()}
    for name in found:
        if name != NATURAL.name:
            found[name] = with_recovered(found[name], looked[name])
    disturbed = [judged for name, judged in looked.items() if name != NATURAL.name]
    overall = figures(Judged.join(list(looked.values())), clean)
    return {OVERALL: with_recovered(overall, Judged.join(disturbed)) if disturbed else overall} | found


def figures(judged: Judged, clean: Judged) -> Figures:
    """Of these episodes; `clean` are the undisturbed successes."""
    alarmed = np.isfinite(judged.alarm_at)
    hits = judged.failed & alarmed
    return Figures(
        failures=int(judged.failed.sum()),
        successes=int((~judged.failed).sum()),
        auroc=auroc(judged.peak, judged.failed),
        early_auroc=auroc(judged.early_peak, judged.failed),
        balanced=balanced_accuracy(alarmed, judged.failed),
        called=share(alarmed[judged.failed]),
        false_alarms=share(np.isfinite(clean.alarm_at)),
        timely=timely_accuracy(judged.alarm_at, judged.failed),
        delay=float(np.median(judged.delay[hits])) if hits.any() else np.nan,
        delay_share=float(np.median(judged.alarm_at[hits])) if hits.any() else np.nan,
        recovered=0,
        recovered_alarmed=0,
    )


def with_recovered(figures: Figures, judged: Judged) -> Figures:
    """The same, and how often an alarm was given although the policy then recovered by itself."""
    well = judged.part(~judged.failed)
    counts = {"recovered": len(well.failed), "recovered_alarmed": int(np.isfinite(well.alarm_at).sum())}
    return Figures(**{**vars(figures), **counts})
