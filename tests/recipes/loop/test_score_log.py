"""The scores of successes, for calibration."""

from pathlib import Path

import numpy as np
import pytest

from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.recording.recorder import Recorder
from ebt_hardware.bench.bench import Bench
from ebt_recipes.loop.deploy import DeployPlan, deploy
from ebt_recipes.loop.recording import Command, Hooks, Limits
from ebt_recipes.loop.score_log import ScoreLog
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.training.checkpoint import Run
from tests.recipes.loop.conftest import ROLLOUT, on_tick


def test_a_score_log_keeps_the_scores_of_successes_in_order(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    policy = EnergyPolicy(untrained, twin.spec, score="energy+jump")
    score_log, saving = ScoreLog(), on_tick(19, Command.SAVE)
    hooks = Hooks(command=saving, on_step=score_log.record_step, report=score_log.end_episode)
    with Recorder(tmp_path, twin.spec) as recorder:
        deploy(twin, policy, recorder, ROLLOUT, DeployPlan((1, 2), Limits(1.0)), hooks)
    (series,) = score_log.series
    assert series.name == list_episodes(tmp_path)[0].name
    assert series.times_s == pytest.approx((0.1, 0.3, 0.5, 0.7, 0.9))
    energies, jumps = zip(*series.scores, strict=True)
    assert jumps[0] == 0 and all(jump > 0 for jump in jumps[1:])
    with Episode(list_episodes(tmp_path)[0]) as episode:
        energy = episode.energy
        assert energy is not None
        fresh = np.isfinite(energy["trace"]).any(axis=1)
        assert energies == pytest.approx(energy["score"][fresh].tolist())
