"""An episode's summary: numbers and text for a table or JSON."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ebt_data.reading.episode import Episode


def facts(episode: "Episode") -> dict[str, Any]:
    """Everything but the data itself."""
    meta, spec = episode.meta, episode.spec
    ticks_s, pauses = episode.time["tick"], episode.pauses
    paused_s = float(sum(ticks_s[row] - ticks_s[row - 1] for row in pauses))
    seconds = float(ticks_s[-1] - ticks_s[0]) - paused_s if len(ticks_s) else 0.0
    found: dict[str, Any] = {
        "file": str(episode.path),
        "bytes": episode.path.stat().st_size,
        "intact": episode.verify(),
        "kind": meta.kind,
        "task": meta.task,
        "outcome": str(episode.effective_outcome),
        "recorded": str(episode.outcome),
        "complete": episode.complete,
        "sim": spec.sim,
        "bench": meta.bench or spec.name,
        "operator": meta.operator,
        "policy": meta.policy,
        "seed": meta.seed,
        "rows": len(episode),
        "seconds": round(seconds, 3),
        "paused_s": round(paused_s, 3),
        "rate_hz": spec.rate_hz,
        "rate_achieved_hz": round((len(episode) - 1 - len(pauses)) / seconds, 2) if seconds > 0 else None,
        "late_ticks": int(episode.time["skipped"].sum()),
        "joints": list(spec.joints),
        "cameras": {name: _camera(episode, name) for name in spec.cameras},
        "motors": _motors(episode),
        "privileged": sorted(episode.privileged),
        "versions": dict(meta.versions),
        "created": episode.attrs.get("created"),
    }
    if episode.energy is not None and len(episode):
        found["energy"] = _energy(episode.energy)
    found["events"] = [{"time_s": e.time_s, "row": e.row, "kind": e.kind, "text": e.text} for e in episode.events]
    return found


def _camera(episode: "Episode", name: str) -> dict[str, Any]:
    spec, times = episode.spec.cameras[name], episode.camera_time(name)
    return {
        "height": spec.height,
        "width": spec.width,
        "rate_hz": spec.rate_hz,
        "depth": spec.depth_unit_m is not None,
        "new_frames": int((~times["repeated"]).sum()),
        "dropped": int(times["dropped"].sum()),
        "age_ms_median": _round(1000 * float(np.median(times["age"]))) if len(episode) else None,
        "age_ms_max": _round(1000 * _peak(times["age"])),
        "clock": sorted({str(domain) for domain in times["domain"]}),
    }


def _motors(episode: "Episode") -> dict[str, Any] | None:
    """The hottest motor, the lowest supply and whatever reported an error; None where no motor status was read."""
    status, joints = episode.motors, episode.spec.joints
    known = (status["joint"] >= 0) & (status["joint"] < len(joints))
    known &= np.isfinite(status["temperature"]) & np.isfinite(status["voltage"])
    if not known.any():
        return None
    joint, temperature, voltage, error = (status[name][known] for name in ("joint", "temperature", "voltage", "error"))
    hottest, lowest = int(np.argmax(temperature)), int(np.argmin(voltage))
    return {
        "hottest": joints[joint[hottest]],
        "temperature_c_max": _round(float(temperature[hottest])),
        "lowest": joints[joint[lowest]],
        "voltage_v_min": _round(float(voltage[lowest])),
        "errors": sorted({joints[place] for place in joint[error != 0]}),
    }


def motors_in_words(facts: dict[str, Any]) -> str:
    """The same as text."""
    found = facts["motors"]
    if found is None:
        return "no motor status was read"
    faults = f"; {', '.join(found['errors'])} reported a fault" if found["errors"] else ""
    return (
        f"{found['hottest']} the hottest with {found['temperature_c_max']:g} °C, "
        f"{found['lowest']} the lowest supply with {found['voltage_v_min']:g} V{faults}"
    )


def _energy(energy: dict[str, Any]) -> dict[str, Any]:
    score, threshold = energy["score"], energy["threshold"]
    planned = energy["steps"] > 0
    return {
        "attempts": int(energy["attempt"].max()),
        "score_median": _round(float(np.nanmedian(score))) if np.isfinite(score).any() else None,
        "score_peak": _round(_peak(score)),
        "calibrated": bool(np.isfinite(threshold).any()),
        "rows_above_threshold": int((score > threshold).sum()),
        "plans": int(np.isfinite(energy["trace"]).any(axis=1).sum()),
        "steps_used_median": int(np.median(energy["steps"][planned])) if planned.any() else None,
        "latency_ms_max": _round(1000 * _peak(energy["latency"])),
        "plan_age_ms_max": _round(1000 * _peak(energy["plan_age"])),
    }


def _peak(values: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else float("nan")


def _round(value: float) -> float:
    return round(value, 3)
