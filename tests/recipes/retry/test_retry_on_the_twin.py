"""The policy that `ebt demo` trained, on the twin, with the cube knocked out of its grip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.deploy import DeployPlan, deploy
from ebt_recipes.loop.disturbance import Disturbance, DisturbanceRule
from ebt_recipes.loop.recording import Hooks, Limits
from ebt_recipes.policy.energy_policy import EnergyPolicy
from ebt_recipes.retry.retry import Retrying, RetryRules
from ebt_recipes.training.checkpoint import load_run
from ebt_recipes.uncertainty.conformal import Calibration

RUN = Path(__file__).parents[2] / "runs" / "pick_place"
"""Made by `ebt demo`; make it again if the twin's contract changes."""
STAGES = ("disturbance", "rise", "hold", "back_off", "replan", "resume")


@pytest.mark.slow
def test_a_cube_knocked_out_of_the_grip_is_detected_and_retried_in_one_file(tmp_path: Path) -> None:
    table = load_bench("twin")
    policy = EnergyPolicy(load_run(RUN), table.spec)
    agent = Retrying(policy, Calibration.load(RUN / "calibration.json").monitor(), table.spec, RetryRules())
    meta = EpisodeMeta("rollout", table.spec.task, bench=table.spec.name, policy="pick_place")
    with Recorder(tmp_path, table.spec) as recorder, table.open() as bench:
        knock = Disturbance(DisturbanceRule("knock"), bench)
        plan = DeployPlan((700_000,), Limits(max_seconds=20.0))
        done = deploy(bench, agent, recorder, replace(meta, calibration=bench.calibration), plan, Hooks(on_step=knock))
    (result,) = done.results
    assert result.path is not None
    with Episode(result.path) as episode:
        events = [event for event in episode.events if event.kind in STAGES]
        energy, position, sent = episode.energy, episode.qpos, episode.action
    assert energy is not None
    assert tuple(event.kind for event in events[: len(STAGES)]) == STAGES
    row = {event.kind: event.row for event in reversed(events)}

    assert energy["score"][row["rise"]] > energy["threshold"][row["rise"]]
    before = energy["score"][: row["disturbance"]]
    assert np.nanmax(before) < energy["score"][row["rise"]]
    backing = sent[row["back_off"] : row["replan"]]
    assert np.abs(np.diff(backing, axis=0)).max() < 0.15, "the back-off is slow"
    assert np.abs(position[row["replan"], :5] - position[0, :5]).max() < 0.1, "it ends where the attempt started"
    assert list(np.unique(energy["attempt"]))[:2] == [1, 2]
