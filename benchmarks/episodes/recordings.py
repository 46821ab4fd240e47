"""The same data recorded in six formats: ebt's, and those of other tools as their code writes them.

    ebt         this project's Recorder: JPEG and bitshuffled depth, row by row, in its own process
    ebt, QOI    the same, lossless, as `ebt collect --lossless` writes it
    ALOHA       lists in memory, written raw after the episode (`record_episodes.py`: chunks of one picture); it has no
                depth, which is written in the same way here
    robomimic   also written after the episode, in its layout `data/demo_0/obs/<camera>_image`, contiguous
    PNG         one PNG per picture, written by four threads while recording (LeRobot's first half); depth as 16-bit PNG
    MP4         the same, and after the episode a video per camera (LeRobot's second half: AV1, every second frame a key
                frame, crf 30, preset 12); the PNG of colour are then removed. Needs `pip install av`

All use the same libraries. Only ebt skips repeated pictures: the other tools write one every tick.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from ebt_data.layout.codec import QUALITY
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import BenchSpec, Outcome, Step
from ebt_recipes.loop.collect import SEAL_S

JOINT_KEYS = ("qpos", "qvel", "effort", "action")


class Recording(Protocol):
    """Records episodes into a folder in one format."""

    pids: Sequence[int]
    """Its processes other than this one."""

    def start(self) -> None:
        """Start an episode."""

    def append(self, step: Step) -> None:
        """Add a row, within a tick."""

    def finish(self) -> None:
        """Return when the next episode can start."""

    def wait_sealed(self) -> None:
        """Return when all background work on the last episode is done."""

    def close(self) -> None:
        """End processes and threads."""

    def picture(self, row: int, camera: str) -> NDArray[np.uint8]:
        """[H, W, 3] of the first episode; files stay open where the format's own reader keeps them open."""

    @property
    def note(self) -> str:
        """A remark for the table."""


class EbtRecording:
    """Rows go to the writer's process one by one."""

    def __init__(self, folder: Path, spec: BenchSpec, quality: int | None = QUALITY) -> None:
        self._recorder = Recorder(folder, spec, quality=quality).__enter__()
        self._paths: list[Path] = []
        self._episode: Episode | None = None
        self._dropped = 0

    @property
    def pids(self) -> Sequence[int]:
        return [] if self._recorder.writer_pid is None else [self._recorder.writer_pid]

    def start(self) -> None:
        self._paths.append(self._recorder.start(EpisodeMeta("demo", "benchmark")))

    def append(self, step: Step) -> None:
        self._recorder.append(step)

    def finish(self) -> None:
        self._dropped += sum(self._recorder.dropped.values())
        self._recorder.finish(Outcome.SUCCESS, SEAL_S)

    def wait_sealed(self) -> None:
        self._recorder.wait_sealed()

    def close(self) -> None:
        self._recorder.__exit__(None, None, None)

    def picture(self, row: int, camera: str) -> NDArray[np.uint8]:
        if self._episode is None:
            self._episode = Episode(self._paths[0])
        return self._episode.image(camera, row)

    @property
    def note(self) -> str:
        return f"{self._dropped} pictures left out"


class InMemoryRecording:
    """Keeps everything in lists until the episode ends, as ALOHA does; `layout` is the path of a picture's dataset."""

    def __init__(self, folder: Path, spec: BenchSpec, layout: str, chunked: bool) -> None:
        folder.mkdir(parents=True)
        self._folder, self._spec, self._layout, self._chunked = folder, spec, layout, chunked
        self._steps: list[Step] = []
        self._count = 0
        self._file: h5py.File | None = None

    pids: tuple[int, ...] = ()

    def start(self) -> None:
        self._steps = []

    def append(self, step: Step) -> None:
        self._steps.append(step)

    def _path(self, number: int) -> Path:
        return self._folder / f"episode_{number}.hdf5"

    def finish(self) -> None:
        with h5py.File(self._path(self._count), "w", rdcc_nbytes=1024**2 * 2) as file:
            for name, values in stack_joints(self._steps).items():
                file[self._layout.format(name)] = values
            for camera in self._spec.cameras:
                frames = [step.observation.frames[camera] for step in self._steps]
                self._write(file, f"{camera}_image", [frame.image for frame in frames])
                self._write(file, f"{camera}_depth", [frame.depth for frame in frames])
        self._count += 1
        self._steps = []

    def _write(self, file: h5py.File, name: str, pictures: list[Any]) -> None:
        shape = pictures[0].shape
        chunks = (1, *shape) if self._chunked else None
        data = file.create_dataset(self._layout.format(name), (len(pictures), *shape), pictures[0].dtype, chunks=chunks)
        if self._chunked:
            data[...] = pictures
        else:  # robomimic's scripts write a whole array
            data[...] = np.stack(pictures)

    def wait_sealed(self) -> None:
        pass

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def picture(self, row: int, camera: str) -> NDArray[np.uint8]:
        if self._file is None:
            self._file = h5py.File(self._path(0))
        return np.asarray(self._file[self._layout.format(f"{camera}_image")][row])

    note = "in memory till then"


class PngRecording:
    """Writes one PNG per picture in four threads; with `video` an MP4 per camera afterwards."""

    pids: tuple[int, ...] = ()
    THREADS = 4

    def __init__(self, folder: Path, spec: BenchSpec, video: bool) -> None:
        folder.mkdir(parents=True)
        self._folder, self._spec, self._video = folder, spec, video
        self._pool = ThreadPoolExecutor(self.THREADS)
        self._waiting: list[Future[None]] = []
        self._steps: list[Any] = []
        self._count, self._behind = 0, 0

    def _episode(self, number: int) -> Path:
        return self._folder / f"episode_{number}"

    def start(self) -> None:
        self._steps, self._waiting = [], []
        for camera in self._spec.cameras:
            (self._episode(self._count) / camera).mkdir(parents=True)

    def append(self, step: Step) -> None:
        row = len(self._steps)
        self._steps.append(stack_joints([step]))
        for camera, frame in step.observation.frames.items():
            folder = self._episode(self._count) / camera
            self._waiting.append(self._pool.submit(save_png, folder / f"{row:06d}.png", frame.image))
            self._waiting.append(self._pool.submit(save_png, folder / f"{row:06d}.depth.png", frame.depth))

    def finish(self) -> None:
        folder = self._episode(self._count)
        self._behind = max(self._behind, sum(not future.done() for future in self._waiting))
        for future in self._waiting:
            future.result()
        if self._video:
            for camera in self._spec.cameras:
                encode(sorted((folder / camera).glob("??????.png")), folder / f"{camera}.mp4", self._spec.rate_hz)
        np.savez(
            folder / "low.npz", **{name: np.concatenate([row[name] for row in self._steps]) for name in JOINT_KEYS}
        )
        self._count += 1

    def wait_sealed(self) -> None:
        pass

    def close(self) -> None:
        self._pool.shutdown()

    def picture(self, row: int, camera: str) -> NDArray[np.uint8]:
        if self._video:
            return decode(self._episode(0) / f"{camera}.mp4", row, self._spec.rate_hz)
        from PIL import Image

        return np.asarray(Image.open(self._episode(0) / camera / f"{row:06d}.png"))

    @property
    def note(self) -> str:
        return f"{self._behind} PNG behind at the end"


def stack_joints(steps: list[Step]) -> dict[str, NDArray[np.float32]]:
    """[T, J] each."""
    joints = [(s.observation.position, s.observation.velocity, s.observation.effort, s.sent) for s in steps]
    return {name: np.stack(values) for name, values in zip(JOINT_KEYS, zip(*joints, strict=True), strict=True)}


def save_png(path: Path, pixels: Any) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path, compress_level=1)  # as in LeRobot's image writer


def encode(pictures: list[Path], path: Path, rate_hz: float) -> None:
    """Write AV1 as LeRobot does; the pictures are removed."""
    import av
    from PIL import Image

    with av.open(str(path), "w") as container:
        options = {"g": "2", "crf": "30", "preset": "12"}
        stream = container.add_stream("libsvtav1", round(rate_hz), options=options)
        stream.pix_fmt = "yuv420p"
        stream.width, stream.height = Image.open(pictures[0]).size
        for picture in pictures:
            frame = av.VideoFrame.from_image(Image.open(picture).convert("RGB"))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for picture in pictures:
        picture.unlink()


def decode(path: Path, row: int, rate_hz: float) -> NDArray[np.uint8]:
    """Seek to the previous key frame and decode from there."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        wanted_s = row / rate_hz
        container.seek(int(wanted_s / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time >= wanted_s - 0.5 / rate_hz:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise IndexError(row)


WAYS: Mapping[str, Callable[[Path, BenchSpec], Any]] = {
    "ebt": EbtRecording,
    "ebt, QOI": lambda folder, spec: EbtRecording(folder, spec, quality=None),
    "ALOHA": lambda folder, spec: InMemoryRecording(folder, spec, "observations/images/{}", chunked=True),
    "robomimic": lambda folder, spec: InMemoryRecording(folder, spec, "data/demo_0/obs/{}", chunked=False),
    "PNG": lambda folder, spec: PngRecording(folder, spec, video=False),
    "MP4": lambda folder, spec: PngRecording(folder, spec, video=True),
}


def available() -> list[str]:
    """Names of the formats whose libraries are installed."""
    return [name for name in WAYS if name != "MP4" or find_spec("av") is not None]
