from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.reading.labels import add_label
from ebt_data.step import BenchSpec, Outcome
from ebt_data.windows.windows import Windows, split

Record = Callable[..., Path]


def test_a_window_ends_at_its_row_and_repeats_the_first_row_before_the_start(record: Record) -> None:
    paths = [record(4), record(6)]
    windows = Windows(paths, history=3, horizon=2)
    batch = windows.batch(np.array([0, 1, 3, 4, 9]))
    assert batch["position"].shape == (5, 3, 6)
    np.testing.assert_array_equal(batch["position"][:, :, 0], [[0, 0, 0], [0, 0, 1], [1, 2, 3], [0, 0, 0], [3, 4, 5]])
    np.testing.assert_array_equal(batch["velocity"], batch["position"] + 100)
    np.testing.assert_array_equal(batch["effort"], batch["position"] + 200)
    np.testing.assert_array_equal(batch["episode"], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(batch["row"], [0, 1, 3, 0, 5])
    assert batch["privileged/cube"].shape == (5, 3, 7)


def test_a_chunk_begins_at_its_row_and_is_masked_after_the_end(record: Record) -> None:
    windows = Windows([record(4), record(6)], history=1, horizon=3)
    batch = windows.batch(np.array([0, 2, 3, 8]))
    np.testing.assert_array_equal(batch["actions"][:, :, 0] - 400, [[0, 1, 2], [2, 3, 3], [3, 3, 3], [4, 5, 5]])
    np.testing.assert_array_equal(batch["mask"], [[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 0]])


def test_neither_a_history_nor_a_chunk_reaches_over_a_pause(record: Record) -> None:
    windows = Windows([record(3), record(6, pauses=(2,))], history=3, horizon=3)
    np.testing.assert_array_equal(windows.starts, [0, 3, 9])
    batch = windows.batch(np.array([3, 4, 5, 6]))
    np.testing.assert_array_equal(batch["position"][:, :, 0], [[0, 0, 0], [0, 0, 1], [2, 2, 2], [2, 2, 3]])
    np.testing.assert_array_equal(batch["actions"][:, :, 0] - 400, [[0, 1, 1], [1, 1, 1], [2, 3, 4], [3, 4, 5]])
    np.testing.assert_array_equal(batch["mask"], [[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]])


def test_a_single_row_after_a_pause_is_not_used_for_training(record: Record) -> None:
    windows = Windows([record(3), record(6, pauses=(2, 3, 5))], history=2, horizon=2)
    np.testing.assert_array_equal(windows.row, [0, 1, 2, 0, 1, 3, 4])
    np.testing.assert_array_equal(windows.starts, [0, 3, 7])
    np.testing.assert_array_equal(windows.bounds, [0, 3, 5, 7])
    np.testing.assert_array_equal(windows.actions[:, 0] - 400, windows.row)
    shown = windows.images["top"][:]
    np.testing.assert_array_equal(shown[5], windows.images["top"][5])
    with Episode(windows.paths[1]) as episode:
        np.testing.assert_array_equal(shown[5], episode.image("top", 3))


def test_a_trimmed_pause_splits_nothing(record: Record) -> None:
    path = record(6, pauses=(2, 4))
    add_label(path, "trim", [2, 6], "me")
    with Episode(path) as episode:
        assert (episode.pauses, episode.segments) == ([2, 4], [slice(2, 4), slice(4, 6)])


def test_arrays_are_plain_and_starts_bound_each_episode(record: Record) -> None:
    windows = Windows([record(4), record(6)], history=1, horizon=1)
    assert len(windows) == 10
    np.testing.assert_array_equal(windows.starts, [0, 4, 10])
    assert (windows.qpos.shape, windows.qpos.dtype) == ((10, 6), np.float32)
    assert (windows.images["top"].shape, windows.images["top"][:].dtype) == ((10, 48, 64, 3), np.uint8)
    assert windows.batch(np.arange(2))["images/top"].shape == (2, 1, 48, 64, 3)
    np.testing.assert_array_equal(windows.images["top"][0], windows.images["top"][1])  # a repeated frame


def test_images_can_be_resized_and_cameras_omitted(record: Record) -> None:
    windows = Windows([record(3)], history=1, horizon=1, image_size=(24, 32), cameras=["wrist"])
    full = Windows([record(3)], history=1, horizon=1)
    assert list(windows.images) == ["wrist"]
    expected = full.images["wrist"][:].reshape(3, 24, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(windows.images["wrist"][:] - expected).max() <= 0.5


def test_only_successes_are_used_by_default(record: Record) -> None:
    paths = [record(2), record(3, outcome=Outcome.FAILURE)]
    windows = Windows(paths, 1, 1)
    assert (windows.paths, windows.skipped) == (paths[:1], paths[1:])
    assert len(Windows(paths, 1, 1, outcomes=frozenset(Outcome))) == 5
    with pytest.raises(DataError, match="none of 1 episodes is complete and ended in success"):
        Windows(paths[1:], 1, 1)


def test_episodes_of_different_benches_are_not_mixed(record: Record, spec: BenchSpec) -> None:
    paths = [record(2), record(2, replace(spec, rate_hz=30.0))]
    with pytest.raises(DataError, match=r"other rate_hz than the previous episodes: 30.0, not 50.0"):
        Windows(paths, 1, 1)


def test_statistics_are_those_of_all_rows(record: Record) -> None:
    windows = Windows([record(4), record(6)], 1, 1)
    position = windows.statistics()["position"]
    np.testing.assert_allclose(position.mean, windows.qpos.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(position.std, windows.qpos.std(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(position.min, windows.qpos.min(axis=0))
    np.testing.assert_array_equal(windows.statistics()["action"].max, windows.actions.max(axis=0))


def test_a_split_depends_on_names_and_seed_and_not_on_other_episodes() -> None:
    paths = [Path(f"episode_{number:04d}.h5") for number in range(400)]
    train, held = split(paths, 0.1, seed=1)
    assert sorted(train + held) == paths
    assert 20 < len(held) < 60
    assert split(paths, 0.1, seed=1) == (train, held)
    assert split(paths, 0.1, seed=2)[1] != held
    assert set(split(paths[:200], 0.1, seed=1)[1]) == set(held) & set(paths[:200])


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_both_parts_of_a_split_have_an_episode(fraction: float) -> None:
    paths = [Path("a.h5"), Path("b.h5"), Path("c.h5")]
    train, held = split(paths, fraction, seed=0)
    assert train and held
    assert split(paths, 0.0, seed=0) == (paths, [])
