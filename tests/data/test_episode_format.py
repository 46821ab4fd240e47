"""docs/episode-format.md matches the file: its example reader works, and its tables are complete."""

import json
import os
import re
from itertools import cycle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.writer import EpisodeWriter
from ebt_data.step import Outcome
from tests.data.conftest import bench_spec, step_of

PAGE = (Path(__file__).parents[2] / "docs" / "episode-format.md").read_text(encoding="utf-8")
ROWS = 7


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rollout with every dataset that an episode may have."""
    spec = bench_spec(depth=True)
    meta = EpisodeMeta("rollout", "pick_place", seed=7)
    writer = EpisodeWriter(tmp_path_factory.mktemp("written"), spec, meta)
    for row in range(ROWS):
        writer.append(step_of(row, spec))
    return writer.commit(Outcome.SUCCESS)


def test_the_reader_on_the_page_reads(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(written.parent)
    assert written.name in code
    variables: dict[str, Any] = {}
    exec(code, variables)
    with Episode(written) as episode:
        assert variables["joints"] == list(episode.spec.joints)
        np.testing.assert_array_equal(variables["action"], episode.action)
        np.testing.assert_array_equal(variables["rgb"], episode.image("wrist", ROWS // 2))
        depth = episode.depth("wrist", ROWS // 2)
        assert depth is not None
        np.testing.assert_allclose(variables["metres"], depth * 1e-4)


def test_every_dataset_is_in_a_table_with_its_type(written: Path) -> None:
    documented: dict[str, str] = {}
    for paths, kinds in re.findall(r"^\| (`/[^|]+) \| ([^|]+) \|", PAGE, re.MULTILINE):
        types = re.findall(r"float32|float64|u?int\d+|\d+(?=,| bytes)", kinds.split("[")[0])
        documented |= dict(zip(re.findall(r"`(/[^`]+)`", paths), cycle(types), strict=False))
    stored: dict[str, str] = {}
    with h5py.File(written) as file:
        file.visititems(lambda name, item: stored.update(_kind(name, item)))
    assert documented == stored


def _kind(name: str, item: h5py.Group | h5py.Dataset) -> dict[str, str]:
    if isinstance(item, h5py.Group):
        return {}
    path = re.sub(r"/(top|wrist)/", "/<camera>/", f"/{name}").replace("/privileged/cube", "/privileged/<name>")
    text = h5py.check_string_dtype(item.dtype)
    return {path: item.dtype.name if text is None else str(text.length)}


def test_every_attribute_is_in_the_table(written: Path) -> None:
    table = PAGE.partition("## Root attributes")[2].partition("## Datasets")[0]
    documented = {
        name for cell in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    with h5py.File(written) as file:
        assert documented == set(file.attrs)
        assert {name for group in file["images"].values() for name in group.attrs} == {"encoding"}
        assert {name for group in file["depth"].values() for name in group.attrs} == {"unit_m"}
        assert json.loads(file.attrs["cameras"])["wrist"]["depth_unit_m"] == 1e-4


def test_the_checksum_is_verified_by_sha256sum(written: Path) -> None:
    assert os.system(f"cd {written.parent} && sha256sum --quiet -c SHA256SUMS") == 0
