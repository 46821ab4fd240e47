"""A row that differs from what was recorded is detected by its checksum."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.reading.episode import Episode
from ebt_data.recording.repair import repair

STALE = {
    "a number": ("/observations/qpos", 295),
    "a stamp": ("/time/top/device", 295),
    "an age that is not a number": ("/time/wrist/age", 295),
    "when a row was": ("/time/tick", 295),
    "an event": ("/events/text", 1),
    "which row an event is of": ("/events/row", 1),
    "row of a motor status": ("/motors/row", 98),
    "a motor": ("/motors/temperature", 98),
    "depth": ("/depth/wrist/frames", 177),
}


@pytest.mark.parametrize(("path", "entry"), STALE.values(), ids=STALE)
def test_a_row_with_a_wrong_checksum_ends_the_recording_there(cut_off: Path, path: str, entry: int) -> None:
    with h5py.File(cut_off, "r+", locking=False) as file:
        file[path][entry] = b"" if path == "/events/text" else np.zeros_like(file[path][entry])
    (message,) = repair(cut_off.parent)
    assert f"rows kept: {296 if path.startswith(('/events', '/motors')) else 295}" in message
    with Episode(cut_off.with_suffix(".h5")) as episode:
        assert [event.row for event in episode.events] == [100]
        assert (np.diff(episode.time["tick"]) > 0).all()


def test_damage_inside_an_image_is_detected(cut_off: Path) -> None:
    with h5py.File(cut_off, "r+", locking=False) as file:
        middle = int(file["/images/top/offset"][290]) + int(file["/images/top/length"][290]) // 2
        file["/images/top/bytes"][middle] ^= 1
        first = int(np.argmax(file["/images/top/offset"][:] == file["/images/top/offset"][290]))
    assert f"rows kept: {first}, " in repair(cut_off.parent)[0]


def test_a_recording_without_checksums_is_repaired(cut_off: Path) -> None:
    with h5py.File(cut_off, "r+", locking=False) as file:
        del file["/sums"]
        file["/action"].resize(299, axis=0)
    assert "rows kept: 299" in repair(cut_off.parent)[0]
