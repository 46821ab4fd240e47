"""Exports episodes in the layout of ALOHA and ACT, one file a demonstration."""

from collections.abc import Sequence
from pathlib import Path

import h5py

from ebt_data.convert.export import META, check_distinct, copy_images, metadata, pixel_bytes, staging
from ebt_data.reading.episode import Episode

LOST = (
    "depth, frame ages, events, energies and calibration stay behind; grippers are in radians, not ALOHA's 0 to 1; "
    "ACT's loader wants episodes of one length, and takes the action before each row where sim is false"
)
"""What the format has no place for."""


def to_aloha(paths: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """One file a demonstration in the layout of ALOHA's `record_episodes.py`; returns each episode and file in order.

    Raises:
        DataError: an episode cannot be read, or the folder is there already or cannot be written. Nothing is left behind.
    """
    made: list[tuple[Path, Path]] = []
    with staging(folder, pixel_bytes(paths, depth=False)) as place:
        for path in paths:
            with Episode(path) as episode:
                check_distinct(list(episode.spec.cameras), path)
                for kept in episode.stretches:
                    name = f"episode_{len(made)}.hdf5"
                    made.append((path, folder / name))
                    with h5py.File(place / name, "w") as file:
                        _aloha(episode, kept, file)
        place.rename(folder)
    return made


def _aloha(episode: Episode, kept: slice, file: h5py.File) -> None:
    file.attrs["sim"] = episode.spec.sim
    file.attrs[META] = metadata(episode, kept)
    file["action"] = episode.action[kept]
    for name, values in (("qpos", episode.qpos), ("qvel", episode.qvel), ("effort", episode.effort)):
        file[f"observations/{name}"] = values[kept]
    for camera in episode.spec.cameras:
        copy_images(episode, kept, camera, file, f"observations/images/{camera}")
