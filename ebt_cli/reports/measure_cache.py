"""Measures of a folder's episodes, cached in `<folder>/.measures.jsonl`, so that a large folder opens at once.

A line is valid for an episode and its labels as they were then. Any other episode is measured again.

with Measured(folder) as measured:
    found, on = measured.of(path)
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pydantic import TypeAdapter, ValidationError

from ebt_cli.reports import measures, rollouts_report
from ebt_data.errors import DataError
from ebt_data.files.atomic_files import write_atomic
from ebt_data.reading.episode import Episode
from ebt_data.reading.labels import labels_path
from ebt_data.step import BenchSpec

NAME = ".measures.jsonl"
VERSION = 3
"""Version of the measures: entries of another version are measured again."""
_LARGEST = 1 << 26  # bytes


class Hardware(NamedTuple):
    """What has to be the same for two episodes to be compared."""

    joints: tuple[str, ...]
    sim: bool
    rate_hz: float
    cameras: tuple[tuple[str, int, int], ...]
    """Name, height and width."""


class Known(NamedTuple):
    """One line."""

    stamp: tuple[int, ...]
    """Version, then size and time of change (ns) of the episode and of its labels."""
    found: measures.Measures | rollouts_report.Measures
    on: Hardware


def hardware(spec: BenchSpec) -> Hardware:
    """What an episode was recorded on."""
    cameras = tuple(sorted((name, camera.height, camera.width) for name, camera in spec.cameras.items()))
    return Hardware(spec.joints, spec.sim, spec.rate_hz, cameras)


_KNOWN = TypeAdapter(Known)


class Measured:
    """The episodes of one folder; new measures are saved at the end of the block."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._lines: dict[str, str] = {}  # by episode, as stored in the file
        self._fresh = False
        with suppress(OSError, ValueError):
            if self._path.stat().st_size <= _LARGEST:
                for line in self._path.read_text().splitlines():
                    name, _, content = line.partition("\t")
                    self._lines[name] = content

    def of(self, path: Path) -> tuple[Mapping[str, Any], Hardware]:
        """The measures of one episode, and the hardware it was recorded on.

        Raises:
            DataError: it cannot be read.
        """
        stamp = _stamp(path)
        known = self._known(path.name, stamp)
        if known is None:
            known = Known(stamp, *_measure(path))
            self._lines[path.name] = json.dumps(known)
            self._fresh = True
        return known.found, known.on

    def _known(self, name: str, stamp: tuple[int, ...]) -> Known | None:
        content = self._lines.get(name, "")
        with suppress(ValidationError, ValueError, RecursionError):
            known = _KNOWN.validate_python(json.loads(content))
            if known.stamp == stamp and known.found["episode"] == name and _fits(known):
                return known
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fresh:
            present = {name: content for name, content in self._lines.items() if (self._path.parent / name).exists()}
            with suppress(DataError):  # a folder that cannot be written, or is full, is measured each time
                write_atomic(self._path, "".join(f"{name}\t{content}\n" for name, content in present.items()))


def _fits(known: Known) -> bool:
    """Whether the entry has the measures of its kind of episode, for these joints."""
    found: Mapping[str, Any] = known.found
    poses = [found.get(name) for name in ("start_rad", "grip_rad")]
    alike = all(pose is None or len(pose) == len(known.on.joints) for pose in poses)
    return alike and ("attempts" in found) is (found["kind"] == "rollout")


def _stamp(path: Path) -> tuple[int, ...]:
    stamp = [VERSION]
    for part in (path, labels_path(path)):
        try:
            about = part.stat()
        except OSError:
            about = None
        stamp += [0, 0] if about is None else [about.st_size, about.st_mtime_ns]
    return tuple(stamp)


def _measure(path: Path) -> tuple[measures.Measures | rollouts_report.Measures, Hardware]:
    with Episode(path) as episode:
        on = hardware(episode.spec)
        if episode.meta.kind == "rollout":
            return rollouts_report.measure(episode), on
        return measures.measure(episode), on
