import os
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_data.errors import DataError
from ebt_data.reading.episode import Episode, list_episodes


def copy_to_edit(path: Path) -> Path:
    copy = path.with_name("copy.h5")
    copy.write_bytes(path.read_bytes())
    return copy


def message_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        Episode(path)
    return str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert message_of(tmp_path / "a.h5") == f"there is no episode {tmp_path / 'a.h5'}"
    with pytest.raises(DataError, match="there is no folder"):
        list_episodes(tmp_path / "none")


@pytest.mark.parametrize(
    "content", [b"", b"not hdf5", random.Random(0).randbytes(5000)], ids=["empty", "text", "random"]
)
def test_what_is_not_hdf5_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    assert message_of(path).startswith(f"{path} is not a readable HDF5 file: ")
    assert "\n" not in message_of(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_off_by_a_copy_is_refused_in_one_sentence(record: Callable[..., Path], share: float) -> None:
    path = copy_to_edit(record(5))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert message_of(path).startswith(f"{path} is not a readable HDF5 file: ")


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_gives_an_error_of_ours_or_plain_data(record: Callable[..., Path], seed: int) -> None:
    path = copy_to_edit(record(5))
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for _ in range(200):
        content[chance.randrange(48, len(content))] = chance.randrange(256)
    path.write_bytes(content)
    try:
        with Episode(path) as episode:
            for camera in episode.spec.cameras:
                episode.images(camera)
            assert episode.qpos.shape == (len(episode), 6)
            assert episode.events == []
    except DataError as error:
        assert "\n" not in str(error)


def test_a_file_from_before_motors_were_asked_is_read(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(5))
    with h5py.File(path, "r+") as file:
        del file["motors"]
    with Episode(path) as episode:
        assert {name: len(values) for name, values in episode.motors.items()} == {
            "row": 0, "joint": 0, "temperature": 0, "voltage": 0, "error": 0,
        }  # fmt: skip


def test_what_the_format_does_not_know_is_passed_over(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(5))
    with h5py.File(path, "r+") as file:
        for name in ("audio", "observations", "time", "images/left", "energy", "events", "motors", "events_more"):
            file[f"{name}/samples"] = np.zeros((3, 2))
            file[f"{name}/about"] = 1.0
        file["about"] = "a text"
        file.create_dataset("audio/long", (1 << 40,), "f4", chunks=(1 << 10,))
    with Episode(path) as episode:
        assert len(episode) == 5
        assert len(episode.images("top")) == 5
        assert episode.energy is not None and "samples" not in episode.energy


def test_a_state_that_is_no_list_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        file["privileged/x"] = np.float32(1)
    assert message_of(path) == f"{path} has () float32 in /privileged/x, which is no object's state"


def test_motors_of_which_one_was_half_told_are_those_told_whole(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(9))
    with h5py.File(path, "r+") as file:
        file["motors/row"].resize(2, axis=0)
        file["motors/error"].resize(4, axis=0)
    with Episode(path) as episode:
        assert episode.motors["row"].tolist() == [2, 5]
        assert {len(values) for values in episode.motors.values()} == {2}


def test_another_hdf5_file_is_told_from_an_episode(tmp_path: Path) -> None:
    path = tmp_path / "aloha.h5"
    with h5py.File(path, "w") as file:
        file["action"] = np.zeros((5, 6))
    assert message_of(path) == f"{path} is an HDF5 file, but not an episode: it has no attribute ebt_format"


def test_an_unknown_format_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        file.attrs["ebt_format"] = 2
    assert message_of(path) == f"{path} has episode format 2; this version of ebt reads 1"


def test_a_missing_group_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        del file["observations"]
    expected = "lacks /observations/qpos, /observations/qvel, /observations/effort"
    assert message_of(path) == f"{path} {expected}"


def test_a_missing_attribute_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        del file.attrs["joints"]
    assert message_of(path) == f"{path} is damaged: 'joints'"


def test_an_array_of_the_wrong_width_is_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        del file["action"]
        file["action"] = np.zeros((2, 3), np.float32)
    assert message_of(path) == f"{path} has (2, 3) float32 in /action, not (6,) a row"


@pytest.mark.parametrize("kind", ["external", "soft", "virtual", "filter"])
def test_data_that_would_come_from_elsewhere_are_refused(record: Callable[..., Path], kind: str) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        if kind == "filter":
            file.create_dataset("x", data=np.zeros(10), chunks=(10,), fletcher32=True)
        elif kind == "virtual":
            layout = h5py.VirtualLayout((1,), "f4")
            layout[:] = h5py.VirtualSource("/etc/passwd", "x", (1,))
            file.create_virtual_dataset("x", layout)
        else:
            file["x"] = h5py.ExternalLink("/etc/passwd", "/x") if kind == "external" else h5py.SoftLink("/action")
    assert message_of(path).endswith(("an episode holds its data itself", "with a filter that no episode uses"))


def test_absurd_sizes_are_refused_before_memory_is_taken(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        file.create_dataset("privileged/huge", (2, 1 << 40), "f4", chunks=(1, 1 << 10))
    assert message_of(path).endswith("which is no object's state")
    path.write_bytes(path.with_name("episode_0000.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["images/top/bytes"].resize(1 << 44, axis=0)
        file["images/top/length"][1] = 1 << 44
    assert message_of(path).endswith("bytes in /images/top/bytes, more than its size can hold")


def test_a_damaged_picture_and_an_unknown_camera_are_named(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(2))
    with h5py.File(path, "r+") as file:
        file["images/top/bytes"][:] = 0
    with Episode(path) as episode:
        with pytest.raises(DataError, match=r"damaged picture of top in row 1"):
            episode.image("top", 1)
        with pytest.raises(DataError, match="has no camera 'left'; it has top, wrist"):
            episode.image("left", 1)


def test_long_texts_of_a_file_are_limited(record: Callable[..., Path]) -> None:
    path = copy_to_edit(record(1))
    with h5py.File(path, "r+") as file:
        file.attrs["operator"] = "x" * 300_000
    assert len(Episode(path).meta.operator) == 200_000


def test_a_frame_shown_in_several_rows_is_stored_once(record: Callable[..., Path]) -> None:
    with Episode(record(10)) as episode:
        assert len({episode.blob("top", row) for row in range(10)}) == 6
        shown = list(episode.pictures("top"))
        assert [image is None for image in shown] == list(episode.camera_time("top")["repeated"])
        assert sum(image is not None for image in shown) == 6
    with h5py.File(episode.path) as file:
        assert len(np.unique(file["images/top/offset"])) == 6
        assert "images" not in file["observations"]


def test_a_changed_file_is_not_what_was_recorded(record: Callable[..., Path]) -> None:
    path = record(1)
    with Episode(path) as episode:
        assert episode.verify() is True
    before = path.stat()
    path.chmod(0o644)
    with h5py.File(path, "r+") as file:
        file["action"][0] = 0
    assert "not what was recorded: its sha256" in message_of(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk that forgets leaves it
    with Episode(path) as episode:
        assert episode.verify() is False
    assert Episode(copy_to_edit(path)).verify() is None


def test_a_flood_of_events_is_no_episode(record: Callable[..., Path]) -> None:
    path = record(4)
    path.with_name("SHA256SUMS").unlink()
    path.chmod(0o644)
    with h5py.File(path, "r+") as file:
        for data in file["events"].values():
            data.resize(5_000, axis=0)
    with pytest.raises(DataError, match="claims 4 rows and 5000 events"):
        Episode(path)
