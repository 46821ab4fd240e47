"""Writes and reads the root attributes of an episode file."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np

from ebt_data.errors import DataError
from ebt_data.layout.format import FORMAT, row_columns
from ebt_data.meta import EpisodeMeta
from ebt_data.step import BenchSpec, CameraSpec

UNITS = {
    "qpos": "rad",
    "qvel": "rad/s",
    "effort": "A, or fraction of stall on motors without a current sensor",
    "action": "rad",
    "time": "s on the bench clock",
    "motors/temperature": "degrees Celsius",
    "motors/voltage": "V",
}

_TEXT_LIMIT = 200_000  # characters of one attribute; a calibration of two arms takes a few thousand
_PIXEL_LIMIT = 1 << 26  # pixels in one frame


def write(file: h5py.File, spec: BenchSpec, meta: EpisodeMeta, encoding: str) -> None:
    """Write all attributes before the first row; `outcome` and `complete` are overwritten at commit."""
    file.attrs["ebt_format"] = FORMAT
    file.attrs["sim"] = spec.sim
    file.attrs["lockstep"] = spec.lockstep
    file.attrs["spec_name"] = spec.name
    file.attrs["spec_task"] = spec.task
    file.attrs["rate_hz"] = float(spec.rate_hz)
    file.attrs["joints"] = list(spec.joints)
    file.attrs["cameras"] = json.dumps({name: asdict(camera) for name, camera in spec.cameras.items()})
    file.attrs["units"] = json.dumps(UNITS)
    file.attrs["color_space"] = "RGB"
    for name in ("kind", "task", "operator", "bench", "policy"):
        file.attrs[name] = str(getattr(meta, name))
    if meta.seed is not None:
        file.attrs["seed"] = meta.seed
    file.attrs["calibration"] = json.dumps(dict(meta.calibration))
    file.attrs["versions"] = json.dumps(dict(meta.versions))
    file.attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    # Under SWMR an attribute of fixed size can be overwritten, but none can be created.
    file.attrs.create("outcome", b"aborted", dtype="S16")
    file.attrs.create("complete", np.uint8(0))
    for camera, camera_spec in spec.cameras.items():
        file[f"/images/{camera}"].attrs["encoding"] = encoding
        if camera_spec.depth_unit_m is not None:
            file[f"/depth/{camera}"].attrs["unit_m"] = float(camera_spec.depth_unit_m)


def set_outcome(file: h5py.File, outcome: str, complete: bool) -> None:
    """Overwrite `outcome` and `complete` in place, which SWMR allows."""
    for name, value in (("outcome", np.array(outcome.encode(), "S16")), ("complete", np.array(complete, np.uint8))):
        h5py.h5a.open(file.id, name.encode()).write(value)


def read(file: h5py.File) -> dict[str, Any]:
    """Every root attribute as text of limited length, number or list of texts.

    Raises:
        DataError: the file is not an episode, or of a format that this version does not support.
    """
    version = file.attrs.get("ebt_format")
    if version is None:
        raise DataError(f"{file.filename} is an HDF5 file, but not an episode: it has no attribute ebt_format")
    if version != FORMAT:
        raise DataError(f"{file.filename} has episode format {version}; this version of ebt reads {FORMAT}")
    return {name: _to_python(value) for name, value in file.attrs.items()}


def _to_python(value: Any) -> Any:
    """An attribute as a Python value: text of limited length, a number, or a list of texts."""
    if isinstance(value, bytes):
        return value[:_TEXT_LIMIT].decode(errors="replace")
    if isinstance(value, str):
        return value[:_TEXT_LIMIT]
    if isinstance(value, np.ndarray):
        return [_to_python(item) for item in value.ravel()[:1000]]
    return value.item() if isinstance(value, np.generic) else str(value)[:_TEXT_LIMIT]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {value!r:.80}")
    return value


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"expected a positive number, not {value!r:.80}")
    return float(value)


def _camera(camera: CameraSpec) -> CameraSpec:
    if type(camera.height) is not int or type(camera.width) is not int:
        raise TypeError("a camera's height and width must be integers")
    if min(camera.height, camera.width) < 1 or camera.height * camera.width > _PIXEL_LIMIT:
        raise ValueError("a camera's height or width is out of range")
    _positive(camera.rate_hz)
    if camera.depth_unit_m is not None:
        _positive(camera.depth_unit_m)
    return camera


def _mapping(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise TypeError(f"expected a JSON object, not {content!r:.80}")
    return content


def spec(attrs: Mapping[str, Any]) -> BenchSpec:
    """The bench that the episode was recorded on. Raises KeyError, TypeError, ValueError if attributes are invalid."""
    cameras = {name: _camera(CameraSpec(**camera)) for name, camera in _mapping(attrs["cameras"]).items()}
    if not isinstance(attrs["joints"], list):
        raise TypeError("joints are not a list")
    bench = BenchSpec(
        name=_text(attrs["spec_name"]),
        joints=tuple(map(_text, attrs["joints"])),
        cameras=cameras,
        rate_hz=_positive(attrs["rate_hz"]),
        sim=bool(attrs["sim"]),
        task=_text(attrs["spec_task"]),
        lockstep=bool(attrs["lockstep"]),
    )
    try:
        row_columns(bench, "", {})
    except DataError as error:  # names the column, not the file
        raise ValueError(str(error)) from error
    return bench


def meta(attrs: Mapping[str, Any]) -> EpisodeMeta:
    """The episode's metadata. Raises KeyError, TypeError, ValueError if attributes are invalid."""
    seed = attrs.get("seed")
    if seed is not None and type(seed) is not int:
        raise TypeError(f"{seed!r:.80} is not an integer seed")
    return EpisodeMeta(
        kind=_text(attrs["kind"]),
        task=_text(attrs["task"]),
        seed=seed,
        operator=_text(attrs["operator"]),
        calibration=_mapping(attrs["calibration"]),
        bench=_text(attrs["bench"]),
        policy=_text(attrs["policy"]),
        versions=_mapping(attrs["versions"]),
    )
