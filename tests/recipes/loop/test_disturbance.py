"""The scene is disturbed once per episode, when its rule holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import MisuseError
from ebt_data.reading.episode import Episode, list_episodes
from ebt_data.step import Event, Step
from ebt_hardware.bench.bench import Bench
from ebt_hardware.config.benches import load_bench
from ebt_recipes.loop.disturbance import Disturbance, DisturbanceRule, check_disturbance
from ebt_recipes.loop.recording import Hooks, Limits, record_episode
from ebt_recipes.training.checkpoint import Run
from tests.recipes.loop.conftest import rolled


def test_a_disturbance_happens_once_per_episode_and_is_recorded(twin: Bench, untrained: Run, tmp_path: Path) -> None:
    disturbance = Disturbance(DisturbanceRule("nudge", 0.3, once_lifted=False), twin)
    rolled(twin, untrained, tmp_path, Hooks(on_step=disturbance), seeds=(1, 2))
    for path in list_episodes(tmp_path):
        with Episode(path) as episode:
            (event,) = [event for event in episode.events if event.kind == "disturbance"]
            assert event.text == "nudge"
            assert event.time_s == pytest.approx(0.3)
            cube = episode.privileged["cube"]
            assert np.abs(cube[-1, :2] - cube[0, :2]).max() > 0.01


def test_a_disturbance_waits_until_the_object_is_in_the_grip(twin: Bench) -> None:
    heights: list[float] = []
    disturbance = Disturbance(DisturbanceRule("knock"), twin)

    def watch(step: Step) -> Event | None:
        event = disturbance(step)
        if event is not None:
            heights.append(float(step.observation.privileged["cube"][2]))
        return event

    leader = load_bench("twin").open_leader(twin)
    record_episode(twin, leader, 0, Limits(4.0), Hooks(on_step=watch), (1, 1), lambda _: None)
    assert heights == [pytest.approx(0.055, abs=0.006)]


def test_what_cannot_be_disturbed_is_refused_before_anything_moves() -> None:
    with pytest.raises(MisuseError, match="pick_place has no disturbance 'earthquake'") as caught:
        check_disturbance(load_bench("twin"), "earthquake")
    assert caught.value.hint == "choose knock or nudge or move_goal"
    with pytest.raises(MisuseError, match="Only a twin"):
        check_disturbance(load_bench("koch"), "knock")
    check_disturbance(load_bench("twin_live"), "nudge")


def test_a_real_bench_is_not_disturbed(twin: Bench) -> None:
    twin.rig = replace(twin.rig, scene=None)
    with pytest.raises(MisuseError, match="Only a twin"):
        Disturbance(DisturbanceRule("nudge", 0.0, once_lifted=False), twin)
