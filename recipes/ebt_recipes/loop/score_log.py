"""Records the scores of an unmonitored policy's plans, for calibration."""

from ebt_data.step import Outcome, Step
from ebt_recipes.loop.recording import EpisodeResult
from ebt_recipes.uncertainty.conformal import ScoreSeries


class ScoreLog:
    """Hooks(on_step=score_log.record_step, report=score_log.end_episode)"""

    def __init__(self) -> None:
        self.series: list[ScoreSeries] = []
        """One per kept success."""
        self._times_s: list[float] = []
        self._scores: list[tuple[float, ...]] = []

    def record_step(self, step: Step) -> None:
        """Record the scores of a new plan; those of a current plan were recorded when it was new."""
        decision = step.decision
        if decision.trace:
            self._times_s.append(step.observation.time_s)
            self._scores.append(decision.scores or (decision.score,))

    def end_episode(self, result: EpisodeResult) -> None:
        """Store the episode's series if it was a kept success, and start the next."""
        if result.outcome is Outcome.SUCCESS and result.path is not None:
            self.series.append(ScoreSeries(result.path.name, tuple(self._times_s), tuple(self._scores)))
        self._times_s, self._scores = [], []
