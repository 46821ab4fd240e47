"""Calibrates detectors at one promised false-alarm rate and evaluates their alarms.

fit(detector: str, calibration: ScoredRollouts, alpha, window) -> Alarm         from successes alone
evaluate(alarm, tests: {failure: ScoredRollouts}, median_steps) -> {failure or "all": Metrics}

Calibration is the product's: conformal thresholds over time, several scores under one rate.

Shapes: N rollouts, P plans, E evaluated episodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.uncertainty.failures import NATURAL
from benchmarks.uncertainty.measures import auroc, balanced_accuracy, share, timely_accuracy
from benchmarks.worlds.rollout_results import ScoredRollouts
from ebt_recipes.uncertainty.conformal import Calibration, ScoreSeries, calibrate, names

Values = NDArray[np.float64]
OVERALL = "all"
MIN_SUCCESSES = 60
"""Minimum for a calibration: 49 are needed for 2 %, and the threshold's shape needs some more."""


@dataclass(frozen=True)
class Alarm:
    """A detector, one score or several joined by `+`, with its thresholds."""

    thresholds: Calibration

    @property
    def scores(self) -> tuple[str, ...]:
        return names(self.thresholds.score)

    def margins(self, rollouts: ScoredRollouts) -> Values:
        """[N, P] standard deviations above the threshold; an alarm is above 0, NaN once a rollout is over."""
        times_s = rollouts.times_s
        results = np.full((len(rollouts.lasted), len(times_s)), -np.inf)
        for score, threshold in zip(self.scores, self.thresholds.thresholds, strict=True):
            mean, sd = (np.interp(times_s, threshold.times_s, values) for values in (threshold.mean, threshold.sd))
            values = times_s if threshold.clock else smoothed(rollouts.scores[score], self.thresholds.window)
            results = np.maximum(results, (values - mean) / sd - threshold.k)
        return np.where(np.arange(len(times_s)) < rollouts.plans[:, None], results, np.nan)


def fit(detector: str, calibration: ScoredRollouts, alpha: float, window: int) -> Alarm:
    """Thresholds that a new success exceeds with a probability of `alpha` at most."""
    return Alarm(calibrate(score_series(calibration, names(detector)), alpha, detector, window))


def score_series(rollouts: ScoredRollouts, scores: Sequence[str]) -> list[ScoreSeries]:
    """Scores of the successes, in the form that the product's calibration takes."""
    results = []
    for row in np.flatnonzero(rollouts.succeeded):
        plans = int(rollouts.plans[row])
        times_s = rollouts.times_s[:plans].tolist()
        values = np.stack([rollouts.scores[score][row, :plans] for score in scores], axis=1)
        results.append(ScoreSeries(str(row), tuple(times_s), tuple(map(tuple, values.tolist()))))
    return results


def smoothed(scores_NP: Values, window: int) -> Values:
    """Every score averaged with up to `window - 1` scores before it, as the product's monitor does."""
    total = np.cumsum(np.nan_to_num(scores_NP), axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return np.where(np.isnan(scores_NP), np.nan, total / np.minimum(np.arange(scores_NP.shape[1]) + 1, window))


@dataclass(frozen=True)
class EpisodeAlarms:
    """What one detector did in each episode."""

    failed: NDArray[np.bool_]
    """[E]"""
    peak: Values
    """[E] largest margin of the episode."""
    early_peak: Values
    """[E] the same, up to the median length of successes."""
    alarm_at: Values
    """[E] share of the episode that had passed at the alarm; inf: no alarm."""
    delay: Values
    """[E] steps from the disturbance, or from the start where there is none, to the alarm; inf: no alarm."""

    def select(self, rows: NDArray[np.bool_]) -> "EpisodeAlarms":
        return EpisodeAlarms(*(values[rows] for values in vars(self).values()))

    @classmethod
    def join(cls, parts: Sequence["EpisodeAlarms"]) -> "EpisodeAlarms":
        return cls(*(np.concatenate(columns) for columns in zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass(frozen=True)
class Metrics:
    """Quality of a detector; shares in 0..1, NaN where there is nothing to count."""

    failures: int
    successes: int
    auroc: float
    early_auroc: float
    """From plans up to the median length of successes, so that a longer duration does not reveal a failure."""
    balanced: float
    called: float
    """Share of failures with an alarm: the true positive rate."""
    false_alarms: float
    """Share of undisturbed successes with an alarm."""
    timely: float
    delay: float
    """Median over detected failures, in steps since the disturbance became observable; NaN without one."""
    delay_share: float
    """Median over detected failures, as a share of the episode."""
    recovered: int
    """Episodes that were disturbed and still succeeded."""
    recovered_alarmed: int


def evaluate_episodes(alarm: Alarm, rollouts: ScoredRollouts, median_steps: int, disturbed: bool) -> EpisodeAlarms:
    """Evaluate every episode; of disturbed ones only those in which the disturbance happened.

    An alarm before the disturbance is observable does not count.
    """
    margins = alarm.margins(rollouts)
    steps = np.arange(margins.shape[1]) * rollouts.execute
    onset = np.where(np.isfinite(rollouts.disturbed_at), rollouts.disturbed_at, 0.0)
    alarmed = (margins > 0) & (steps >= onset[:, None])
    at = np.where(alarmed.any(axis=1), alarmed.argmax(axis=1) * rollouts.execute, np.inf)
    early = np.where(steps <= median_steps, margins, -np.inf)
    peaks = (np.nanmax(values, axis=1) for values in (margins, early))
    episodes = EpisodeAlarms(~rollouts.succeeded, *peaks, at / rollouts.lasted, at - onset)
    return episodes.select(np.isfinite(rollouts.disturbed_at)) if disturbed else episodes


def evaluate(alarm: Alarm, tests: Mapping[str, ScoredRollouts], median_steps: int) -> dict[str, Metrics]:
    """Metrics by failure, against undisturbed successes; and overall, all failures against all successes."""
    by_failure = {
        name: evaluate_episodes(alarm, rollouts, median_steps, name != NATURAL.name) for name, rollouts in tests.items()
    }
    clean = by_failure[NATURAL.name].select(~by_failure[NATURAL.name].failed)
    results = {
        name: metrics(EpisodeAlarms.join([episodes.select(episodes.failed), clean]), clean)
        for name, episodes in by_failure.items()
    }
    for name in results:
        if name != NATURAL.name:
            results[name] = with_recovered(results[name], by_failure[name])
    disturbed = [episodes for name, episodes in by_failure.items() if name != NATURAL.name]
    overall = metrics(EpisodeAlarms.join(list(by_failure.values())), clean)
    return {OVERALL: with_recovered(overall, EpisodeAlarms.join(disturbed)) if disturbed else overall} | results


def metrics(episodes: EpisodeAlarms, clean: EpisodeAlarms) -> Metrics:
    """Metrics of these episodes; `clean` are the undisturbed successes."""
    alarmed = np.isfinite(episodes.alarm_at)
    hits = episodes.failed & alarmed
    return Metrics(
        failures=int(episodes.failed.sum()),
        successes=int((~episodes.failed).sum()),
        auroc=auroc(episodes.peak, episodes.failed),
        early_auroc=auroc(episodes.early_peak, episodes.failed),
        balanced=balanced_accuracy(alarmed, episodes.failed),
        called=share(alarmed[episodes.failed]),
        false_alarms=share(np.isfinite(clean.alarm_at)),
        timely=timely_accuracy(episodes.alarm_at, episodes.failed),
        delay=float(np.median(episodes.delay[hits])) if hits.any() else np.nan,
        delay_share=float(np.median(episodes.alarm_at[hits])) if hits.any() else np.nan,
        recovered=0,
        recovered_alarmed=0,
    )


def with_recovered(metrics: Metrics, episodes: EpisodeAlarms) -> Metrics:
    """The same metrics, with the number of alarms in episodes that the policy recovered by itself."""
    recovered_episodes = episodes.select(~episodes.failed)
    counts = {
        "recovered": len(recovered_episodes.failed),
        "recovered_alarmed": int(np.isfinite(recovered_episodes.alarm_at).sum()),
    }
    return Metrics(**{**vars(metrics), **counts})
