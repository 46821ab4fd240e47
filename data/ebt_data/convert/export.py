"""What every exported format shares: pictures, metadata, and a staging folder that is renamed when it is whole.

Exports take the rows that training uses and the action that was sent; rows before and after a pause become two
demonstrations. What a format has no place for goes into attributes under `ebt_meta`, which other loaders ignore: joint
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
from ebt_data.files.atomic_files import FULL_HINT, RESERVE_BYTES, make_ready
from ebt_data.layout.attributes import UNITS
from ebt_data.reading.episode import Episode

META = "ebt_meta"


def copy_images(episode: Episode, kept: slice, camera: str, group: h5py.Group, name: str) -> None:
    """[T, H, W, 3] RGB, a chunk a picture, decoded one at a time."""
    spec = episode.spec.cameras[camera]
    shape = (kept.stop - kept.start, spec.height, spec.width, 3)
    data = group.create_dataset(name, shape, np.uint8, chunks=(1, *shape[1:]))
    _, place = episode.shown(camera)
    for row in range(kept.start, kept.stop):
        if row == kept.start or place[row] != place[row - 1]:
            picture = episode.image(camera, row)
        data[row - kept.start] = picture


def metadata(episode: Episode, kept: slice) -> str:
    return json.dumps(
        {
            "source": episode.path.name,
            "sha256": checksums.recorded(episode.path.parent).get(episode.path.name),
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


def check_distinct(names: Sequence[str], path: Path) -> None:
    """Refuse cameras whose names would be one, or one within the other, in the other layout."""
    clash = [a for a in names for b in names if b.startswith(f"{a}/")] or [a for a in names if names.count(a) > 1]
    if clash:
        raise DataError(f"{path} has cameras whose names clash in that layout: {clash[0]}")


def pixel_bytes(paths: Sequence[Path], *, depth: bool) -> int:
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
def staging(target: Path, needed: int) -> Iterator[Path]:
    """A staging folder beside the target, on a disk with enough space; removed afterwards.

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
