"""Hostile files into `ebt inspect`, `train` and `convert`: one sentence, exit 5, nothing written, little memory."""

import random
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from ebt_cli.app import run
from ebt_data.meta import EpisodeMeta
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, BenchSpec, CameraSpec, Decision, Event, Frame, Observation, Outcome, Step

LENGTH = 12
MORE_KB = 500_000
"""That this process may have grown by after all files, each of which claims or unpacks to as much as terabytes."""
SPEC = BenchSpec(
    name="small",
    joints=("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"),
    cameras={"top": CameraSpec(48, 64, 20.0), "wrist": CameraSpec(48, 64, 20.0, 1e-4)},
    rate_hz=20.0,
    sim=True,
    task="pick_place",
    lockstep=True,
)


def record(folder: Path, spec: BenchSpec = SPEC, text: str = "") -> Path:
    """A whole rollout with depth; `text` wherever an episode takes one."""
    with Recorder(folder, spec) as recorder:
        recorder.start(
            EpisodeMeta("rollout", spec.task, 7, operator=text, bench=text, policy=text, versions={text: text})
        )
        for row in range(LENGTH):
            recorder.append(step(row, text))
        return recorder.finish(Outcome.SUCCESS)


def step(row: int, text: str) -> Step:
    time_s = row / SPEC.rate_hz
    pose = np.full(6, 0.1 * row, np.float32)
    image = np.random.default_rng(row).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    depth = np.full((48, 64), 1000 + row, np.uint16)
    frames = {
        name: Frame(
            image, row, time_s, "global_time", time_s, 0.01, False, None if spec.depth_unit_m is None else depth
        )
        for name, spec in SPEC.cameras.items()
    }
    decision = Decision(pose, Actor.POLICY, energy=1.0, score=1.0, threshold=2.0, steps_used=3, trace=(2.0, 1.0))
    return Step(
        Observation(time_s, time_s, pose, pose, pose, frames), decision, pose, time_s, 0, (Event("note", text),)
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("good"))


Spoil = Callable[[Path], None]
FLIPS, CUTS = 100, 20
ROWS = ("observations/qpos", "observations/qvel", "observations/effort", "action", "action_asked")
TIMES = ("time/tick", "time/read", "time/sent", "time/skipped")
CAMERA = (
    "images/top/offset",
    "images/top/length",
    "images/top/bytes",
    "time/top/age",
    "time/top/number",
    "time/top/domain",
)
OTHERS = (
    "motors/row",
    "depth/wrist/index",
    "depth/wrist/frames",
    "energy/energy",
    "energy/trace",
    "energy/actor",
    "events/row",
    "events/text",
)
DATASETS = (*ROWS, *TIMES, *CAMERA, *OTHERS)
GROUPS = ("observations", "time", "time/top", "images", "images/top", "depth", "events")
REQUIRED = (
    "ebt_format",
    "sim",
    "spec_name",
    "rate_hz",
    "joints",
    "cameras",
    "kind",
    "task",
    "calibration",
    "versions",
    "outcome",
    "complete",
)
CAMERAS = '{"top": {"height": 48, "width": 64, "rate_hz": %s, "depth_unit_m": %s}}'
ABSURD = {
    "ebt_format": (0, 2, -1, "1; rm", 1e300),
    "rate_hz": ("fast", np.zeros(7), 0.0, 0, -1.0, np.nan, np.inf, True),
    "task": (7, np.zeros(3)),
    "operator": (7.5,),
    "bench": (7,),
    "policy": (np.zeros(2),),
    "kind": (1,),
    "spec_name": (np.zeros(2),),
    "seed": (np.zeros(3), "x", 7.5, h5py.Empty("f")),
    "joints": ("a", "shoulder", 5, np.zeros((3, 3)), np.zeros(6), h5py.Empty("f")),
    "cameras": (
        "{",
        "[]",
        "null",
        "7",
        '{"top": {"height": 1e9, "width": 1e9, "rate_hz": 1}}',
        '{"top": 1}',
        "[" * 100_000,
        '{"../..": {}}',
        CAMERAS % ('"fast"', "null"),
        CAMERAS % ("20.0", '"x"'),
        CAMERAS % ("20.0", "-1"),
        CAMERAS.replace("48", "true") % ("20.0", "null"),
        CAMERAS.replace("48", '"48"') % ("20.0", "null"),
        CAMERAS.replace("48", "48.0") % ("20.0", "null"),
        CAMERAS.replace("top", "../..") % ("20.0", "null"),
        CAMERAS.replace("top", "tick") % ("20.0", "null"),
        CAMERAS % ("NaN", "null"),
        CAMERAS % ("true", "null"),
        CAMERAS % ("1" + "0" * 400, "null"),
    ),
    "calibration": ("{", "null", "[" * 100_000),
    "versions": ("{", "[1]", "\udcff".encode("utf-8", "surrogatepass")),
    "outcome": (b"splendid", 7),
}


def flip(seed: int, path: Path) -> None:
    """A few bits anywhere; each third time only in the head, where HDF5 keeps what it finds its way by."""
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    end = 4096 if seed % 3 == 0 else len(content)
    for _ in range(chance.choice((1, 1, 8, 200))):
        content[chance.randrange(end)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(share: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def edit(change: Callable[[h5py.File], None], path: Path) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def drop(name: str, file: h5py.File) -> None:
    del file[name]


def retype(name: str, file: h5py.File) -> None:
    """Numbers as text, text as numbers, and of the same length."""
    length = len(file[name])
    number = file[name].dtype.kind in "iuf"
    del file[name]
    file[name] = np.full(length, b"12", "S4") if number else np.zeros(length, np.complex128)


def reshape(name: str, file: h5py.File) -> None:
    length, dtype = len(file[name]), file[name].dtype
    del file[name]
    file[name] = np.zeros((length, 3, 5), dtype)


def scalar(name: str, file: h5py.File) -> None:
    dtype = file[name].dtype
    del file[name]
    file[name] = np.zeros((), dtype)


def huge(name: str, file: h5py.File) -> None:
    """More rows than the file could hold."""
    tail, dtype = file[name].shape[1:], file[name].dtype
    del file[name]
    file.create_dataset(name, (1 << 33, *tail), dtype, chunks=(1 << 10, *tail))


def bomb(name: str, file: h5py.File) -> None:
    """Few bytes that unpack to gigabytes."""
    tail, dtype = file[name].shape[1:], file[name].dtype
    del file[name]
    data = file.create_dataset(name, (1 << 26, *tail), dtype, chunks=(1 << 16, *tail), compression="gzip", fillvalue=0)
    data.id.write_direct_chunk((0, *(0 for _ in tail)), b"\x78\x9c" + bytes(64))


def nothing(name: str, value: float, file: h5py.File) -> None:
    file[name][1] = value


def back_in_time(file: h5py.File) -> None:
    file["time/tick"][2] = -5.0


def set_attribute(name: str, value: object, file: h5py.File) -> None:
    del file.attrs[name]
    file.attrs[name] = value


def drop_attribute(name: str, file: h5py.File) -> None:
    del file.attrs[name]


def link(kind: str, name: str, file: h5py.File) -> None:
    if name in file:
        del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/x") if kind == "external" else h5py.SoftLink("/action")


def ring(file: h5py.File) -> None:
    """A group that holds itself."""
    file["images/again"] = file["images"]


def virtual(name: str, file: h5py.File) -> None:
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, dtype)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape)
    file.create_virtual_dataset(name, layout)


def stored_elsewhere(name: str, file: h5py.File) -> None:
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape, dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def foreign_filter(number: int, name: str, file: h5py.File) -> None:
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(shape)
    plist.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1,))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape), plist)


def large_pieces(name: str, file: h5py.File) -> None:
    dtype = file[name].dtype
    del file[name]
    file.create_dataset(name, (4, 6), dtype, maxshape=(None, 6), chunks=(1 << 28, 6))


def many_groups(file: h5py.File) -> None:
    for number in range(3000):
        file.create_group(f"x{number}")


def deep_groups(file: h5py.File) -> None:
    file.create_group("/".join("abcdefghij"))


def no_picture(file: h5py.File) -> None:
    """Named by rows where there is none."""
    file["images/top/offset"][...] = 1 << 40


def _edits() -> Iterator[tuple[str, Callable[[h5py.File], None]]]:
    for change in (drop, retype, reshape, scalar):
        yield from ((f"{change.__name__} {name}", partial(change, name)) for name in DATASETS)
    for change in (huge, bomb, virtual, stored_elsewhere):
        yield from ((f"{change.__name__} {name}", partial(change, name)) for name in (*ROWS, "time/tick"))
    yield from ((f"drop {name}", partial(drop, name)) for name in GROUPS)
    yield from (
        (f"{value} in {name}", partial(nothing, name, value))
        for name in (*ROWS, *TIMES[:3])
        for value in (np.nan, np.inf)
    )
    yield from ((f"no {name}", partial(drop_attribute, name)) for name in REQUIRED)
    for name, values in ABSURD.items():
        yield from (
            (f"{name} absurd {place}", partial(set_attribute, name, value)) for place, value in enumerate(values)
        )
    yield from (
        (f"{kind} link {name}", partial(link, kind, name))
        for kind in ("external", "soft")
        for name in ("action_asked", "x")
    )
    yield from (
        (f"filter {number}", partial(foreign_filter, number, "action")) for number in (305, 32001, 32015, 40000)
    )
    yield "large pieces", partial(large_pieces, "action")
    others = (back_in_time, ring, many_groups, deep_groups, no_picture)
    yield from ((change.__name__, change) for change in others)


HOSTILE: dict[str, Spoil] = {
    **{f"flip {seed}": partial(flip, seed) for seed in range(FLIPS)},
    **{f"cut {place}": partial(cut, place / CUTS) for place in range(CUTS)},
    **{name: partial(edit, change) for name, change in _edits()},
}
TEXTS = (
    "[bold red]x[/]",
    "\x1b[2J\x1b]0;owned\x07",
    "<script>alert(1)</script>",
    "a\nb\r\tc",
    "\u202e\u200fright to left",
    "%s{0}\\",
)
"""A valid episode may hold these; they must reach nobody's terminal."""


@pytest.mark.slow
def test_every_hostile_file_is_one_sentence_and_exit_5(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text("[training]\nmax_steps = 1\n")
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong = []
    for number, (name, spoil) in enumerate(HOSTILE.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = shutil.copyfile(good, folder / good.name)
        if name.startswith("flip"):  # what a flipped bit hits may still make sense: only the sum tells
            shutil.copy(good.parent / "SHA256SUMS", folder)
        spoil(path)
        there = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
        for verb in (
            ["inspect", str(path)],
            ["train", str(tmp_path / "tiny.toml"), "--data", str(folder), "--out", str(folder / "run")],
            ["convert", str(folder), "--to", ("aloha", "robomimic")[number % 2], "--out", str(folder / "converted")],
        ):
            code = run(verb)
            out, err = capsys.readouterr()
            told = err.removeprefix(err[: err.find("error: ")]).splitlines()
            sentence = len([line for line in told if not line.startswith("hint: ")]) == 1 and path.name in told[0]
            untouched = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()} == there
            if (code, out, sentence, untouched) != (5, "", True, True):
                wrong.append((name, verb[0], code, err[-300:]))
        if name.startswith("flip"):
            (folder / "SHA256SUMS").unlink()  # now HDF5 sees it; what still makes sense may be shown
            for what in ("inspect without its sum", "repair"):
                code = run(["inspect", str(path if path.exists() else folder)])
                err = capsys.readouterr().err
                if code not in (0, 5):
                    wrong.append((name, what, code, err[-300:]))
                if path.exists():
                    path.rename(path.with_suffix(".part"))
        shutil.rmtree(folder)
    assert not wrong, wrong
    assert len(HOSTILE) >= 300
    assert sum(name.startswith("flip") for name in HOSTILE) >= 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < MORE_KB


def test_hostile_texts_of_a_valid_file_command_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, text in enumerate(TEXTS):
        folder = tmp_path / str(number)
        path = record(folder, replace(SPEC, task=text), text)
        for verb in (
            ["inspect", str(path)],
            ["inspect", str(path), "--json"],
            ["inspect", str(folder)],
            ["inspect", str(folder), "--list"],
        ):
            assert run(verb) == 0
            shown = "".join(capsys.readouterr())
            assert "\x1b" not in shown
            assert "\x07" not in shown
            assert "\u202e" not in shown
            assert "\u200f" not in shown
