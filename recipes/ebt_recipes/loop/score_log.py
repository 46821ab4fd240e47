"""Takes down what a bare policy's plans score, for calibration."""

from ebt_data.step import Outcome, Step
from ebt_recipes.loop.recording import EpisodeResult
from ebt_recipes.uncertainty.conformal import Stream


class ScoreLog:
    """Hooks(on_step=score_log.record_step, report=score_log.end_episode)"""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        """Of successes that were kept."""
        self._times_s: list[float] = []
        self._scores: list[tuple[float, ...]] = []

    def record_step(self, step: Step) -> None:
        """Note a new plan; what an old one scored was noted when it was new."""
        decision = step.decision
        if decision.trace:
            self._times_s.append(step.observation.time_s)
            self._scores.append(decision.scores or (decision.score,))

    def end_episode(self, result: EpisodeResult) -> None:
        """The episode is over."""
        if result.outcome is Outcome.SUCCESS and result.path is not None:
            self.streams.append(Stream(result.path.name, tuple(self._times_s), tuple(self._scores)))
        self._times_s, self._scores = [], []
