"""Shared by all export formats: images, metadata, and a staging folder that is renamed when it is complete.

Exports contain the rows used for training and the action that was sent; a pause splits an episode into two
demonstrations. What a format has no field for is stored in the attribute `ebt_meta`, which other loaders ignore: joint
names, units, the bench's rate, when each row began, and the source file.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ebt_data.errors import DataError
from ebt_data.files import checksums
from ebt_data.files.atomic_files import DISK_FULL_HINT, RESERVE_BYTES, prepare_folder
from ebt_data.layout.attributes import UNITS
from ebt_data.reading.episode import Episode

META = "ebt_meta"


def copy_images(episode: Episode, segment: slice, camera: str, group: h5py.Group, name: str) -> None:
    """Write [T, H, W, 3] RGB, one chunk per image, decoded one at a time."""
    spec = episode.spec.cameras[camera]
    shape = (segment.stop - segment.start, spec.height, spec.width, 3)
    data = group.create_dataset(name, shape, np.uint8, chunks=(1, *shape[1:]))
    _, index = episode.image_index(camera)
    for row in range(segment.start, segment.stop):
        if row == segment.start or index[row] != index[row - 1]:
            image = episode.image(camera, row)
        data[row - segment.start] = image


def metadata(episode: Episode, segment: slice) -> str:
    return json.dumps(
        {
            "source": episode.path.name,
            "sha256": checksums.recorded(episode.path.parent).get(episode.path.name),
            "task": episode.meta.task,
            "outcome": episode.effective_outcome.value,
            "action": "sent to the motors, after limits",
            "joints": list(episode.spec.joints),
            "units": UNITS,
            "rate_hz": episode.spec.rate_hz,
            "tick_s": [round(float(tick), 6) for tick in episode.time["tick"][segment]],
            "colour": "RGB",
        }
    )


def check_camera_names(names: Sequence[str], path: Path) -> None:
    """Reject camera names that are equal, or one the parent path of another, in the other layout."""
    conflicts = [a for a in names for b in names if b.startswith(f"{a}/")] or [a for a in names if names.count(a) > 1]
    if conflicts:
        raise DataError(f"{path} has cameras whose names conflict in that layout: {conflicts[0]}")


def pixel_bytes(paths: Sequence[Path], *, depth: bool) -> int:
    """Bytes of the exported images, which are nearly the whole output."""
    total = 0
    for path in paths:
        with Episode(path) as episode:
            rows = episode.trimmed.stop - episode.trimmed.start
            if rows < 1:
                raise DataError(f"{path} has no row to convert", f"ebt label {path} --exclude")
            for camera in episode.spec.cameras.values():
                has_depth = depth and camera.depth_unit_m is not None
                total += rows * camera.height * camera.width * (3 + 4 * has_depth)
    return total


@contextmanager
def staging_folder(target: Path, needed: int) -> Iterator[Path]:
    """A temporary folder beside the target, on a disk with enough space; removed afterwards.

    Space is checked first, as HDF5 may crash when it closes a file on a full disk.
    """
    if target.exists():
        raise DataError(f"{target} already exists", "name another one with --out")
    prepare_folder(target.parent, (needed + RESERVE_BYTES) / 1e6, "converting")
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}", DISK_FULL_HINT) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
