"""What there is to say about an episode, a folder of them, or a run: plain numbers and words, ready for table or JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ebt_data.errors import DataError

if TYPE_CHECKING:
    from ebt_data.episode import Episode

SUMMARY = ("episode", "kind", "task", "outcome", "sim", "rows", "seconds", "late", "seed", "attempts", "peak_energy")


def summary(path: Path) -> dict[str, Any]:
    """One row of a folder's table; a file that cannot be read is a row that says why."""
    from ebt_data.episode import Episode

    try:
        with Episode(path) as episode:
            energy = episode.energy
            return {
                "episode": path.name,
                "kind": episode.meta.kind,
                "task": episode.meta.task,
                "outcome": str(episode.outcome) + ("" if episode.complete else ", cut off"),
                "sim": episode.spec.sim,
                "rows": len(episode),
                "seconds": round(_seconds(episode), 2),
                "late": int(episode.time["skipped"].sum()),
                "seed": episode.meta.seed,
                "attempts": None if energy is None or not len(episode) else int(energy["attempt"].max()),
                "peak_energy": None if energy is None else _round(_peak(energy["score"])),
            }
    except DataError as error:
        return dict.fromkeys(SUMMARY) | {"episode": path.name, "outcome": f"unreadable: {error}"}


def facts(episode: "Episode") -> dict[str, Any]:
    """Everything but the data itself."""
    meta, spec = episode.meta, episode.spec
    seconds = _seconds(episode)
    found: dict[str, Any] = {
        "file": str(episode.path),
        "bytes": episode.path.stat().st_size,
        "intact": episode.verify(),
        "kind": meta.kind,
        "task": meta.task,
        "outcome": str(episode.outcome),
        "complete": episode.complete,
        "sim": spec.sim,
        "bench": meta.bench or spec.name,
        "operator": meta.operator,
        "policy": meta.policy,
        "seed": meta.seed,
        "rows": len(episode),
        "seconds": round(seconds, 3),
        "rate_hz": spec.rate_hz,
        "rate_achieved_hz": round((len(episode) - 1) / seconds, 2) if seconds > 0 else None,
        "late_ticks": int(episode.time["skipped"].sum()),
        "joints": list(spec.joints),
        "cameras": {name: _camera(episode, name) for name in spec.cameras},
        "privileged": sorted(episode.privileged),
        "versions": dict(meta.versions),
        "created": episode.attrs.get("created"),
    }
    if episode.energy is not None and len(episode):
        found["energy"] = _energy(episode.energy)
    found["events"] = [{"time_s": e.time_s, "row": e.row, "kind": e.kind, "text": e.text} for e in episode.events]
    return found


def run_facts(path: Path) -> dict[str, Any]:
    """What a run was trained on, how far it got, and whether its energy is calibrated."""
    from ebt_recipes.calibrate import Calibration
    from ebt_recipes.checkpoint import load_run

    run = load_run(path)
    contract = run.contract
    found: dict[str, Any] = {
        "run": str(path),
        "recipe": run.recipe.name,
        "objective": run.recipe.objective.kind,
        "updates": run.step,
        "parameters": sum(weights.numel() for weights in run.model.parameters()),
        "task": contract.task,
        "bench": contract.bench,
        "sim": contract.sim,
        "joints": list(contract.joints),
        "cameras": [f"{name} {height}x{width}" for name, (height, width) in contract.cameras.items()],
        "privileged": list(contract.privileged),
        "rate_hz": contract.rate_hz,
        "horizon": run.recipe.act.horizon,
        "execute": run.recipe.act.execute,
        "episodes": len(contract.episodes),
    }
    if (path / "calibration.json").is_file():
        band = Calibration.load(path / "calibration.json")
        found["calibration"] = {
            "rollouts": band.n,
            "counted": band.counted,
            "false_alarms_per_episode": band.alpha,
            "spreads_allowed": _round(band.k),
            "trusted": band.enough,
        }
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


def _seconds(episode: "Episode") -> float:
    tick = episode.time["tick"]
    return float(tick[-1] - tick[0]) if len(tick) else 0.0


def _peak(values: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else float("nan")


def _round(value: float) -> float:
    return round(value, 3)
