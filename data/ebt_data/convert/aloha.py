"""Exports episodes in the layout of ALOHA and ACT, one file per demonstration."""

from collections.abc import Sequence
from pathlib import Path

import h5py

from ebt_data.convert.export import META, check_camera_names, copy_images, metadata, pixel_bytes, staging_folder
from ebt_data.reading.episode import Episode

NOT_EXPORTED = (
    "depth, frame ages, events, energies and calibration are not exported; "
    "grippers are in radians, not ALOHA's 0 to 1; ACT's loader requires episodes of equal length, and uses the action of the previous row if sim is false"
)
"""What this format cannot contain."""


def to_aloha(paths: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Write one file per demonstration in the layout of ALOHA's `record_episodes.py`; returns (episode, file) pairs.

    Raises:
        DataError: an episode cannot be read, or the folder exists or cannot be written. No partial output remains.
    """
    exported: list[tuple[Path, Path]] = []
    with staging_folder(folder, pixel_bytes(paths, depth=False)) as temporary:
        for path in paths:
            with Episode(path) as episode:
                check_camera_names(list(episode.spec.cameras), path)
                for segment in episode.segments:
                    name = f"episode_{len(exported)}.hdf5"
                    exported.append((path, folder / name))
                    with h5py.File(temporary / name, "w") as file:
                        _aloha(episode, segment, file)
        temporary.rename(folder)
    return exported


def _aloha(episode: Episode, segment: slice, file: h5py.File) -> None:
    file.attrs["sim"] = episode.spec.sim
    file.attrs[META] = metadata(episode, segment)
    file["action"] = episode.action[segment]
    for name, values in (("qpos", episode.qpos), ("qvel", episode.qvel), ("effort", episode.effort)):
        file[f"observations/{name}"] = values[segment]
    for camera in episode.spec.cameras:
        copy_images(episode, segment, camera, file, f"observations/images/{camera}")
