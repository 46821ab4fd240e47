"""Episodes as other tools read them: ALOHA and ACT a file each, robomimic all in one.

to_aloha(paths, folder) -> [(Path, Path)]    `episode_0.hdf5`, `episode_1.hdf5`, ...
to_robomimic(paths, file, seed) -> Path      `data/demo_0`, ..., and `mask/train`, `mask/valid`
lost(layout) -> str                          what the layout has no place for, in one sentence

Both take the rows that are learnt from and the action that was sent; where somebody had paused, the rows before and after
become two demonstrations, as no other layout has a word for it. What they have no place for goes into attributes under
`ebt_meta`, which their loaders pass over: joints, units, the bench's rate, when each row began, and which file it was.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ebt_data import sums
from ebt_data.attributes import UNITS
from ebt_data.episode import Episode
from ebt_data.errors import DataError
from ebt_data.whole import FULL_HINT, RESERVE_BYTES, make_ready
from ebt_data.windows import split

META = "ebt_meta"
VALID = 0.1
"""Share of the demonstrations under `mask/valid`."""
_LOST = {
    "aloha": "depth, frame ages, events, energies and calibration stay behind; grippers are in radians, not ALOHA's 0 to 1; "
    "ACT's loader wants episodes of one length, and takes the action before each row where sim is false",
    "robomimic": "frame ages, events, energies and calibration stay behind; actions are scaled into [-1, 1], see ebt_meta",
}


def lost(layout: str) -> str:
    """What a layout has no place for."""
    return _LOST[layout]


def to_aloha(paths: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """One file a demonstration in the layout of ALOHA's `record_episodes.py`; returns each episode and file in order.

    Raises:
        DataError: an episode cannot be read, or the folder is there already or cannot be written. Nothing is left behind.
    """
    made: list[tuple[Path, Path]] = []
    with _workplace(folder, _pixel_bytes(paths, depth=False)) as place:
        for path in paths:
            with Episode(path) as episode:
                _distinct(list(episode.spec.cameras), path)
                for kept in episode.stretches:
                    name = f"episode_{len(made)}.hdf5"
                    made.append((path, folder / name))
                    with h5py.File(place / name, "w") as file:
                        _aloha(episode, kept, file)
        place.rename(folder)
    return made


def to_robomimic(paths: Sequence[Path], target: Path, seed: int = 0) -> Path:
    """All episodes in one file of robomimic's layout.

    Raises:
        DataError: an episode cannot be read, two are of benches that differ, or the file is there already or cannot be
            written. Nothing is left behind.
    """
    low, high, joints = _bounds(paths)
    # The middle and half the width of what was sent, so that every action lies in [-1, 1].
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6)
    scale = {
        "joints": list(joints),
        "action_rad": "action * half + middle",
        "middle": middle.tolist(),
        "half": half.tolist(),
    }
    held = set(split(list(paths), VALID, seed)[1])
    with _workplace(target, _pixel_bytes(paths, depth=True)) as place:
        with h5py.File(place / "all", "w") as file:
            total = 0
            sides: dict[bool, list[bytes]] = {False: [], True: []}  # whether for validation
            for path in paths:
                with Episode(path) as episode:
                    for kept in episode.stretches:
                        name = f"demo_{sum(map(len, sides.values()))}"
                        sides[path in held].append(name.encode())
                        total += _demonstration(episode, kept, file.create_group(f"data/{name}"), middle, half)
                    task = episode.meta.task
            data = file["data"]
            data.attrs["total"] = total
            data.attrs["env_args"] = json.dumps({"env_name": task or "ebt", "type": 2, "env_kwargs": {}})
            data.attrs[META] = json.dumps(scale)
            for name, names in (("train", sides[False]), ("valid", sides[True])):
                file[f"mask/{name}"] = np.array(names, "S16")
        (place / "all").rename(target)
    return target


def _aloha(episode: Episode, kept: slice, file: h5py.File) -> None:
    file.attrs["sim"] = episode.spec.sim
    file.attrs[META] = _meta(episode, kept)
    file["action"] = episode.action[kept]
    for name, values in (("qpos", episode.qpos), ("qvel", episode.qvel), ("effort", episode.effort)):
        file[f"observations/{name}"] = values[kept]
    for camera in episode.spec.cameras:
        _images(episode, kept, camera, file, f"observations/images/{camera}")


def _demonstration(episode: Episode, kept: slice, group: h5py.Group, middle: NDArray[Any], half: NDArray[Any]) -> int:
    """One `demo_N`; returns its rows."""
    rows: int = kept.stop - kept.start
    end = np.zeros(rows, np.float32)
    end[-1] = kept == episode.stretches[-1]  # not where it was only paused
    group.attrs["num_samples"] = rows
    group.attrs["ep_meta"] = _meta(episode, kept)
    group["actions"] = ((episode.action[kept] - middle) / half).astype(np.float32)
    group["rewards"], group["dones"] = end, end.astype(np.int64)
    for name, values in (("pos", episode.qpos), ("vel", episode.qvel), ("effort", episode.effort)):
        group[f"obs/robot0_joint_{name}"] = values[kept]
    for camera, spec in episode.spec.cameras.items():
        name = camera.replace("/", "_")
        _images(episode, kept, camera, group, f"obs/{name}_image")
        if spec.depth_unit_m is not None:
            shape = (rows, spec.height, spec.width, 1)
            data = group.create_dataset(f"obs/{name}_depth", shape, np.float32, chunks=(1, *shape[1:]))
            for place, row in enumerate(range(kept.start, kept.stop)):
                depth = episode.depth(camera, row)
                data[place, ..., 0] = np.nan if depth is None else depth * spec.depth_unit_m
    return rows


def _images(episode: Episode, kept: slice, camera: str, group: h5py.Group, name: str) -> None:
    """[T, H, W, 3] RGB, a chunk a picture, decoded one at a time."""
    spec = episode.spec.cameras[camera]
    shape = (kept.stop - kept.start, spec.height, spec.width, 3)
    data = group.create_dataset(name, shape, np.uint8, chunks=(1, *shape[1:]))
    _, place = episode.shown(camera)
    for row in range(kept.start, kept.stop):
        if row == kept.start or place[row] != place[row - 1]:
            picture = episode.image(camera, row)
        data[row - kept.start] = picture


def _meta(episode: Episode, kept: slice) -> str:
    return json.dumps(
        {
            "source": episode.path.name,
            "sha256": sums.recorded(episode.path.parent).get(episode.path.name),
            "task": episode.meta.task,
            "outcome": episode.judged.value,
            "action": "sent to the motors, after limits",
            "joints": list(episode.spec.joints),
            "units": UNITS,
            "rate_hz": episode.spec.rate_hz,
            "tick_s": [round(float(tick), 6) for tick in episode.time["tick"][kept]],
            "colour": "RGB",
        }
    )


def _bounds(paths: Sequence[Path]) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Least and largest action [J] of all rows that are learnt from, and the joints."""
    low = high = None
    first = None
    for path in paths:
        with Episode(path) as episode:
            first = first or episode.spec
            if (episode.spec.joints, dict(episode.spec.cameras)) != (first.joints, dict(first.cameras)):
                raise DataError(f"{path} has other joints or cameras than the episodes before it")
            _distinct([camera.replace("/", "_") for camera in first.cameras], path)
            action = episode.action[episode.trimmed].astype(np.float64)
            low = action.min(axis=0) if low is None else np.minimum(low, action.min(axis=0))
            high = action.max(axis=0) if high is None else np.maximum(high, action.max(axis=0))
    if low is None or high is None or first is None:
        raise DataError("there is no episode to convert")
    return low, high, first.joints


def _distinct(names: Sequence[str], path: Path) -> None:
    """Refuse cameras whose names would be one, or one within the other, in the other layout."""
    clash = [a for a in names for b in names if b.startswith(f"{a}/")] or [a for a in names if names.count(a) > 1]
    if clash:
        raise DataError(f"{path} has cameras whose names clash in that layout: {clash[0]}")


def _pixel_bytes(paths: Sequence[Path], *, depth: bool) -> int:
    """What the pictures take as they are written, which is nearly all."""
    total = 0
    for path in paths:
        with Episode(path) as episode:
            rows = episode.trimmed.stop - episode.trimmed.start
            if rows < 1:
                raise DataError(f"{path} holds no row: nothing to convert", f"ebt label {path} --exclude")
            for camera in episode.spec.cameras.values():
                deep = depth and camera.depth_unit_m is not None
                total += rows * camera.height * camera.width * (3 + 4 * deep)
    return total


@contextmanager
def _workplace(target: Path, needed: int) -> Iterator[Path]:
    """A folder beside the target for what is not whole yet, on a disk with room for it; gone afterwards.

    The room is looked at before, as HDF5 may crash when it closes a file that the disk did not take.
    """
    if target.exists():
        raise DataError(f"{target} is there already", "name another one with --out")
    make_ready(target.parent, (needed + RESERVE_BYTES) / 1e6, "converting")
    place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        place.chmod(0o755)
        yield place
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}", FULL_HINT) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
