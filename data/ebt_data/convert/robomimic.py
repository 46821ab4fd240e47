"""Exports episodes in robomimic's layout, in one file: `data/demo_0`, ..., and `mask/train`, `mask/valid`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ebt_data.convert.export import META, check_camera_names, copy_images, metadata, pixel_bytes, staging_folder
from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode
from ebt_data.windows.windows import split

VALID = 0.1
"""Share of the demonstrations under `mask/valid`."""
NOT_EXPORTED = (
    "frame ages, events, energies and calibration are not exported; actions are scaled into [-1, 1], see ebt_meta"
)
"""What this format cannot contain."""


def to_robomimic(paths: Sequence[Path], target: Path, seed: int = 0) -> Path:
    """Write all episodes into one file in robomimic's layout.

    Raises:
        DataError: an episode cannot be read, two are of different benches, or the file exists or cannot be written.
            No partial output remains.
    """
    low, high, joints = _bounds(paths)
    # Midpoint and half-width of the range of sent actions, so that every scaled action lies in [-1, 1].
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6)
    scale = {
        "joints": list(joints),
        "action_rad": "action * half + middle",
        "middle": middle.tolist(),
        "half": half.tolist(),
    }
    validation = set(split(list(paths), VALID, seed)[1])
    with staging_folder(target, pixel_bytes(paths, depth=True)) as temporary:
        with h5py.File(temporary / "all", "w") as file:
            total = 0
            sides: dict[bool, list[bytes]] = {False: [], True: []}  # by: is it for validation
            for path in paths:
                with Episode(path) as episode:
                    for segment in episode.segments:
                        name = f"demo_{sum(map(len, sides.values()))}"
                        sides[path in validation].append(name.encode())
                        total += _demonstration(episode, segment, file.create_group(f"data/{name}"), middle, half)
                    task = episode.meta.task
            data = file["data"]
            data.attrs["total"] = total
            data.attrs["env_args"] = json.dumps({"env_name": task or "ebt", "type": 2, "env_kwargs": {}})
            data.attrs[META] = json.dumps(scale)
            for name, names in (("train", sides[False]), ("valid", sides[True])):
                file[f"mask/{name}"] = np.array(names, "S16")
        (temporary / "all").rename(target)
    return target


def _demonstration(
    episode: Episode, segment: slice, group: h5py.Group, middle: NDArray[Any], half: NDArray[Any]
) -> int:
    """One `demo_N`; returns its rows."""
    rows: int = segment.stop - segment.start
    end = np.zeros(rows, np.float32)
    end[-1] = segment == episode.segments[-1]  # 0 at a pause
    group.attrs["num_samples"] = rows
    group.attrs["ep_meta"] = metadata(episode, segment)
    group["actions"] = ((episode.action[segment] - middle) / half).astype(np.float32)
    group["rewards"], group["dones"] = end, end.astype(np.int64)
    for name, values in (("pos", episode.qpos), ("vel", episode.qvel), ("effort", episode.effort)):
        group[f"obs/robot0_joint_{name}"] = values[segment]
    for camera, spec in episode.spec.cameras.items():
        name = camera.replace("/", "_")
        copy_images(episode, segment, camera, group, f"obs/{name}_image")
        if spec.depth_unit_m is not None:
            shape = (rows, spec.height, spec.width, 1)
            data = group.create_dataset(f"obs/{name}_depth", shape, np.float32, chunks=(1, *shape[1:]))
            for index, row in enumerate(range(segment.start, segment.stop)):
                depth = episode.depth(camera, row)
                data[index, ..., 0] = np.nan if depth is None else depth * spec.depth_unit_m
    return rows


def _bounds(paths: Sequence[Path]) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Minimum and maximum action [J] over all rows used for training, and the joints."""
    low = high = None
    first = None
    for path in paths:
        with Episode(path) as episode:
            first = first or episode.spec
            if (episode.spec.joints, dict(episode.spec.cameras)) != (first.joints, dict(first.cameras)):
                raise DataError(f"{path} has other joints or cameras than the previous episodes")
            check_camera_names([camera.replace("/", "_") for camera in first.cameras], path)
            action = episode.action[episode.trimmed].astype(np.float64)
            low = action.min(axis=0) if low is None else np.minimum(low, action.min(axis=0))
            high = action.max(axis=0) if high is None else np.maximum(high, action.max(axis=0))
    if low is None or high is None or first is None:
        raise DataError("there is no episode to convert")
    return low, high, first.joints
