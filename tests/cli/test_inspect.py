"""`ebt inspect`: every verdict comes with its figures, on one screen, and the same in JSON."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from matplotlib.image import imread
from rich.cells import cell_len
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from ebt_cli import inspect as verb
from ebt_cli.app import run
from ebt_cli.reports import measure_cache as measured_folder
from ebt_cli.reports.plot import _outcome
from ebt_cli.reports.tally import tally
from ebt_cli.screens.page import screen
from ebt_cli.terminal.verdict import Report
from ebt_data.meta import EpisodeMeta
from ebt_data.reading.episode import Episode
from ebt_data.recording.recorder import Recorder
from ebt_data.step import Actor, BenchSpec, Decision, Event, Outcome
from ebt_recipes.loop.recording import Limits
from ebt_recipes.loop.rollouts import Trained, Trial
from ebt_recipes.training.checkpoint import Run

RUN = Path(__file__).parents[1] / "runs" / "pick_place"


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON that the verb prints of a path."""
    assert run(["inspect", str(path), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def grades(found: dict[str, Any]) -> dict[str, str]:
    return {reason["name"]: reason["grade"] for reason in found["reasons"]}


def write_tally(folder: Path, name: str, lines: list[dict[str, Any]], run_folder: Path) -> None:
    """A tally as the demo writes it, of the weights in `run_folder`, holding these rollouts."""
    file = folder / f"{name}.jsonl"
    inputs = [run_folder / "model.safetensors", run_folder / "run.json"]
    tally(file, name, Trial("twin", Trained(run_folder), Limits(1.0)), [], inputs)
    with file.open("a") as kept:
        kept.writelines(json.dumps(line) + "\n" for line in lines)


def lines(successes: int, failures: int, first_seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    common = {"seconds": 4.0, "attempts": 1, "kinds": [], "times_s": [0.0, 0.2], "why": "as it ended"} | more
    ends = ["success"] * successes + ["failure"] * failures
    return [
        {**common, "seed": first_seed + n, "outcome": end, "scores": [1.0, 2.0 if end == "success" else 9.0 + n]}
        for n, end in enumerate(ends)
    ]


def test_an_episode_is_told_in_json(rollout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(rollout, capsys)
    assert found["schema"] == "ebt.episode/1"
    assert found["verdict"] == "bad"
    assert grades(found)["outcome"] == "bad"
    assert found["rows"] == 30
    assert found["sim"] is True
    assert found["intact"] is True
    assert found["cameras"]["top"]["new_frames"] == 30
    assert found["energy"]["attempts"] == 2
    assert [event["kind"] for event in found["events"]] == ["rise"]
    assert found["measures"]["first_rise_s"] == 1.0


def test_an_episode_is_told_as_lines(rollout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(rollout)]) == 0
    out = capsys.readouterr().out
    rows = dict(line.split("\t") for line in out.splitlines())
    assert rows["verdict"] == "bad"
    assert rows["outcome"] == "failure"
    assert rows["rate_achieved_hz"] == "20.0"
    assert rows["event"] == "   1.00 s  rise  score 3 over 2"
    assert "\x1b" not in out


def test_the_screen_of_a_rollout_says_why_it_failed(rollout: Path) -> None:
    shown = [line.plain for line in screen(verb._episode(rollout, None), 80, 24)]
    assert shown[0].startswith("BAD  ")
    text = "\n".join(shown)
    for words in (
        "failure on attempt 2 after",
        "first alarm came at 1.0 s (score 3 over 2), and a",
        "▲alarm",
        "20 ms",
    ):
        assert words in text
    assert "────" in text, "the threshold"


def test_text_from_a_file_has_no_power_over_the_terminal(spec: BenchSpec, ticks: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(EpisodeMeta("rollout", "pick\x1b[31m", seed=7, policy="run\x1b]0;x\x07"))
        for tick in ticks(3):
            hostile = (Event("disturbance", "\x1b[2Jknock\nGOOD"),)
            recorder.append(replace(tick.step, events=hostile))
        path = recorder.finish(Outcome.SUCCESS)
    shown = "".join(line.plain for line in screen(verb._episode(path, None), 80, 24))
    assert "\n" not in shown and "\\nGOOD" in shown
    assert "\\x1b" in shown and "\x1b" not in shown and "\x07" not in shown


def test_a_damaged_file_is_a_reason_for_doubt(
    rollout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(rollout, tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(rollout.read_bytes()[:3000])
    found = told(tmp_path, capsys)
    assert found["schema"] == "ebt.rollouts/1"
    (good,) = found["episodes"]
    assert good["rows"] == 30 and good["attempts"] == 2 and good["peak_energy"] > 1
    assert grades(found)["unreadable"] == "doubtful"
    assert "b.h5" in next(r["text"] for r in found["reasons"] if r["name"] == "unreadable")
    assert run(["inspect", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 and "doubtful: 1 cannot be read" in err


@pytest.fixture
def labelled(rollout: Path, tmp_path: Path) -> Path:
    """A folder of three: a failure, one that a person calls a success, one that is excluded."""
    for name in ("a", "b", "c"):
        shutil.copy(rollout, tmp_path / f"{name}.h5")
    run(["label", str(tmp_path / "b.h5"), "--success", "--tag", "x", "--note", "odd"])
    run(["label", str(tmp_path / "c.h5"), "--exclude", "--tag", "x"])
    return tmp_path


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ([], ["a", "b", "c"]),
        (["failure"], ["a", "c"]),
        (["success"], ["b"]),
        (["excluded"], ["c"]),
        (["tag:x"], ["b", "c"]),
        (["tag:x", "failure"], ["c"]),
    ],
)
def test_a_folder_is_listed_by_what_was_said(
    labelled: Path, only: list[str], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["inspect", str(labelled), "--list", *(part for word in only for part in ("--only", word))]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[1:]] == [f"{name}.h5" for name in names]
    assert all(row[5:] == ["x", "odd"] for row in rows if row[0] == "b.h5")


def test_a_list_names_every_kind_and_bench_and_on_stderr_what_cannot_be_read(
    labelled: Path, spec: BenchSpec, ticks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    record_demos(labelled, spec, "small", ticks, 1)
    record_demos(labelled, replace(spec, rate_hz=50.0), "other", ticks, 1)
    (labelled / "z.h5").write_bytes((labelled / "a.h5").read_bytes()[:3000])
    capsys.readouterr()
    assert run(["inspect", str(labelled), "--list"]) == 0
    out, err = capsys.readouterr()
    names = [line.split("\t")[0] for line in out.splitlines()[1:]]
    assert names == ["a.h5", "b.h5", "c.h5", "episode_0000.h5", "episode_0001.h5"]
    assert "left out: " in err and "z.h5" in err


def test_what_a_person_said_is_the_outcome_and_what_was_recorded_stands_beside_it(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(labelled / "b.h5", capsys)
    assert (found["outcome"], found["recorded"]) == ("success", "failure")
    with Episode(labelled / "b.h5") as episode:
        assert _outcome(episode) == "success (recorded: failure)"


def test_what_is_excluded_is_not_named_among_the_failed(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["label", str(labelled / "c.h5"), "--success"])
    capsys.readouterr()
    rows = dict(verb._episodes(labelled).rows)
    assert str(rows["failed"]).startswith("a.h5")
    run(["label", str(labelled / "a.h5"), "--success"])
    assert dict(verb._episodes(labelled).rows)["failed"] == "none"


def test_labels_decide_what_a_folder_of_rollouts_is_worth(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(labelled, capsys)
    assert (found["judged"], found["successes"]) == (2, 1)
    assert [one["outcome"] for one in found["episodes"]] == ["failure", "success", "failure, excluded"]


@pytest.mark.parametrize("word", ["tag", "tag:", "failure:x", "bad"])
def test_an_unknown_filter_names_the_known_ones(labelled: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(labelled), "--only", word]) == 2
    assert "success, failure, aborted, excluded, tag:WORD" in capsys.readouterr().err


def test_what_was_measured_once_is_not_measured_again_unless_something_changed(
    labelled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(labelled, capsys)
    measured: list[str] = []
    original = measured_folder._measure
    monkeypatch.setattr(measured_folder, "_measure", lambda path: (measured.append(path.name), original(path))[1])
    first = told(labelled, capsys)
    assert measured == []
    run(["label", str(labelled / "a.h5"), "--success"])
    capsys.readouterr()
    assert told(labelled, capsys)["successes"] == first["successes"] + 1
    assert measured == ["a.h5"]


@pytest.mark.parametrize("line", ["", "a.h5", "a.h5\t{", 'a.h5\t[[1, 2], {"episode": "a.h5"}, []]', "\x00" * 9])
def test_a_shortcut_that_does_not_fit_is_not_taken(
    rollout: Path, tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(rollout, tmp_path / "a.h5")
    (tmp_path / measured_folder.NAME).write_text(line)
    assert told(tmp_path, capsys)["episodes"][0]["rows"] == 30


def deep(known: Any) -> str:
    return "[" * 100_000


def other_kind(known: Any) -> str:
    known[1] |= {"kind": "demo"}
    return json.dumps(known)


def lacking(known: Any) -> str:
    del known[1]["attempts"]
    return json.dumps(known)


def wrong(known: Any) -> str:
    known[1] |= {"rows": [1], "seconds": None}
    return json.dumps(known)


@pytest.mark.parametrize("change", [deep, other_kind, lacking, wrong])
def test_a_shortcut_with_the_right_stamp_is_not_taken_either_where_it_makes_no_sense(
    rollout: Path, tmp_path: Path, change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(rollout, tmp_path / "a.h5")
    first = told(tmp_path, capsys)
    shortcut = tmp_path / measured_folder.NAME
    name, _, known = shortcut.read_text().partition("\t")
    shortcut.write_text(f"{name}\t{change(json.loads(known))}\n")
    assert told(tmp_path, capsys) == first


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "there is nothing at"),
        ("a.png", "cannot be inspected"),
        ("a.jsonl", "no tally"),
        ("empty", "holds no episode"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.jsonl").write_text("no json\n")
    (tmp_path / "empty").mkdir()
    assert run(["inspect", str(tmp_path / name)]) == 5
    out, err = capsys.readouterr()
    assert out == "" and words in err and "hint: " in err


def test_an_episode_is_drawn(rollout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "episode.png"
    assert run(["inspect", str(rollout), "--plot", str(picture)]) == 0
    pixels = np.asarray(imread(picture))
    assert pixels.shape[1] > 1000
    assert pixels[..., :3].std() > 0.05


@pytest.mark.parametrize("kind", ["demo", "rollout"])
def test_an_episode_without_rows_is_not_drawn(
    kind: str, spec: BenchSpec, ticks: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Recorder(tmp_path, spec) as recorder:
        recorder.start(EpisodeMeta(kind, spec.task))
        recorder.append(ticks(1)[0].step)
        path = recorder.finish(Outcome.ABORTED)
    with h5py.File(path, "r+") as file:
        file["/time/tick"].resize(0, axis=0)
    (tmp_path / "SHA256SUMS").unlink()
    assert told(path, capsys)["next"] == f"ebt inspect {tmp_path}"
    assert run(["inspect", str(path), "--plot", str(tmp_path / "a.png")]) == 5
    assert "holds no row: nothing to draw" in capsys.readouterr().err


def test_a_folder_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path), "--plot", "x.png"]) == 2


def test_a_run_is_doubted_for_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(RUN, capsys)
    assert found["schema"] == "ebt.run/1" and found["verdict"] == "doubtful"
    assert grades(found) == {
        "success_rate": "doubtful",
        "demonstrations": "good",
        "converged": "doubtful",
        "calibration": "good",
        "bench": "good",
    }
    assert found["calibration"]["trusted"] is True and found["updates"] == 2586
    assert told(RUN / "calibration.json", capsys) == found


def test_a_run_for_another_bench_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    contract = json.loads((RUN / "run.json").read_text())
    contract["contract"]["rate_hz"] = 50.0
    (tmp_path / "run" / "run.json").write_text(json.dumps(contract))
    found = told(tmp_path / "run", capsys)
    assert found["verdict"] == "bad"
    assert "rate_hz 50 in the run, 20 on the bench" in next(r["text"] for r in found["reasons"] if r["name"] == "bench")


@pytest.mark.parametrize(
    ("errors", "grade", "words"),
    [
        ([0.1, 0.06, 0.051, 0.05, 0.05], "good", "it had converged: validation error 0.0500 rad, 0% less"),
        ([0.1, 0.09, 0.08, 0.07, 0.05], "doubtful", "still improving: validation error 0.0500 rad, 29% less"),
        ([0.1, 0.05, 0.04, 0.05, 0.06], "doubtful", "ended at 0.0600 rad, 1.50 times its lowest"),
        ([0.1, 0.05, np.nan, np.nan], "bad", "diverged: the validation error is not a number"),
        ([np.nan, np.nan], "bad", "diverged"),
        ([0.1, 0.05, 0.05, np.nan, 0.05], "good", "it had converged: validation error 0.0500 rad, 0% less"),
    ],
)
def test_whether_a_training_had_converged_is_read_from_its_curve(
    errors: list[float], grade: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    with SummaryWriter(str(tmp_path / "run" / "tensorboard")) as writer:
        for place, error in enumerate(errors):
            writer.add_scalar("validation/action_error_rad", error, 500 * place)
    found = told(tmp_path / "run", capsys)
    reason = next(r for r in found["reasons"] if r["name"] == "converged")
    assert reason["grade"] == grade and words in reason["text"]


@pytest.fixture
def demo(tmp_path: Path, rollout: Path) -> Path:
    """A demo's folder: a trained run, rollouts on many scenes, and one recorded rollout in place of demonstrations."""
    shutil.copytree(RUN, tmp_path / "run")
    for name in ("episodes", "rollouts"):
        (tmp_path / name).mkdir()
        shutil.copy(rollout, tmp_path / name)
    write_tally(tmp_path, "policy", lines(49, 1), tmp_path / "run")
    write_tally(tmp_path, "cameras_blacked_out", lines(0, 20), tmp_path / "run")
    write_tally(tmp_path, "knocked_with_retry", lines(18, 2), tmp_path / "run")
    write_tally(tmp_path, "knocked_without", lines(9, 11), tmp_path / "run")
    write_tally(tmp_path, "clean_with_retry", lines(20, 0), tmp_path / "run")
    return tmp_path


def test_a_demo_is_judged_by_its_rates_its_controls_and_its_retries(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(demo, capsys)
    assert found["schema"] == "ebt.demo/1"
    assert grades(found)["success_rate"] == "good"
    assert grades(found)["cameras_blacked_out"] == "good"
    assert grades(found)["retry"] == "good"
    assert "saved 9 and lost 0 of 20" in next(r["text"] for r in found["reasons"] if r["name"] == "retry")
    assert found["tallies"]["policy"] == {
        "rollouts": 50, "successes": 49, "low": 0.895, "high": 0.9965, "interval_95": "90-100 %"
    }  # fmt: skip
    assert found["verdict"] == "doubtful", "the stand-in for its demonstrations is one failed rollout"
    run_found = told(demo / "run", capsys)
    assert grades(run_found)["success_rate"] == "good"
    assert "0 of 20 undisturbed successes were retried" in next(
        r["text"] for r in run_found["reasons"] if r["name"] == "false_alarms"
    )


def test_what_is_no_tally_beside_a_run_is_left_out(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (demo / "empty.jsonl").touch()
    (demo / "other.jsonl").write_text('{"of": "another program"}\n')
    (demo / "binary.jsonl").write_bytes(bytes(range(256)))
    (demo / "zero_descent_steps.jsonl").touch()
    assert grades(told(demo / "run", capsys))["success_rate"] == "good"
    assert grades(told(demo, capsys))["other_weights"] == "doubtful"


def stamp(folder: Path, demo: dict[str, Any]) -> None:
    (folder / "demo.json").write_text(json.dumps({"demo": demo, "code": "0"}))


def size(**counts: int) -> dict[str, int]:
    return {"demonstrations": 200, "rollouts": 50, "calibrate": 1, "controls": 20, "disturbed": 20} | counts


def test_a_demo_that_was_cut_off_is_judged_by_what_it_has(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("knocked_with_retry", "knocked_without", "clean_with_retry"):
        (demo / f"{name}.jsonl").unlink()
    shutil.rmtree(demo / "rollouts")
    (demo / "rollouts").mkdir()
    stamp(demo, {"size": size(demonstrations=30), "bench": {"task": "peg_insert"}})
    found = told(demo, capsys)
    assert next(r["text"] for r in found["reasons"] if r["name"] == "retry").endswith("not reached yet")
    assert found["next"] == f"ebt demo --quick --task peg_insert --out {demo}"
    assert "rollouts" not in found


def test_a_demo_that_made_all_its_tallies_is_over(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mean_demonstration_replayed", "zero_descent_steps"):
        write_tally(demo, name, lines(0, 20), demo / "run")
    write_tally(demo, "calibrate", lines(1, 0), demo / "run")
    stamp(demo, {"size": size(), "bench": {"task": "pick_place"}})
    assert told(demo, capsys)["next"] == f"ebt inspect {demo / 'run'}"
    stamp(demo, {"size": size(rollouts=51), "bench": {"task": "pick_place"}})
    assert told(demo, capsys)["next"] == f"ebt demo --out {demo}"
    stamp(demo, {"size": "odd", "bench": None})
    assert told(demo, capsys)["next"] == f"ebt inspect {demo / 'run'}"
    for name in ("knocked_with_retry", "knocked_without"):
        (demo / f"{name}.jsonl").unlink()
    found = told(demo, capsys)
    assert "nothing disturbs its task" in next(r["text"] for r in found["reasons"] if r["name"] == "retry")
    assert found["next"] == f"ebt inspect {demo / 'run'}"


def test_a_demo_without_a_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/runs/demo-quick")
    folder.mkdir(parents=True)
    stamp(folder, {"size": size(demonstrations=30), "bench": {"task": "pick_place"}})
    assert run(["inspect", str(folder)]) == 5
    assert capsys.readouterr().err.endswith("resume it: ebt demo --quick\n")


def test_a_tally_of_other_weights_does_not_count(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = demo / "run" / "model.safetensors"
    shutil.copy(weights, demo / "other")
    (demo / "policy.jsonl").write_text((demo / "policy.jsonl").read_text().replace('"inputs": "', '"inputs": "0'))
    found = told(demo, capsys)
    assert "policy" not in found["tallies"]
    assert grades(found)["other_weights"] == "doubtful"


def test_a_tally_tells_energies_apart(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(demo / "knocked_without.jsonl", capsys)
    assert found["schema"] == "ebt.tally/1"
    separation = next(r for r in found["reasons"] if r["name"] == "separation")
    assert separation["value"] == 1.0 and "separates 11 failures from 9 successes at equal time" in separation["text"]
    assert "trial" in found


@pytest.mark.parametrize(
    ("clean", "grade", "words"),
    [
        (
            lines(15, 0) + lines(5, 0, 50, attempts=2),
            "doubtful",
            "5 of 20 undisturbed successes were retried",
        ),
        (lines(17, 0) + lines(0, 3, 50, attempts=3), "good", "0 of 17 undisturbed successes were retried"),
        (lines(5, 5) + lines(5, 5, 50, attempts=2), None, "5 of 10 undisturbed successes were retried; too"),
    ],
)
def test_false_alarms_are_retries_of_what_succeeds(
    clean: list[dict[str, Any]], grade: str | None, words: str, tmp_path: Path
) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    write_tally(tmp_path, "clean_with_retry", clean, tmp_path / "run")
    report = verb._folder(tmp_path / "run")
    reason = {reason.name: reason for reason in report.reasons}.get("false_alarms")
    assert (reason and reason.grade.word) == grade
    assert words in (reason.text if reason else str(dict(report.rows)["retried"]))


def test_of_a_tally_only_first_attempts_are_compared(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = demo / "knocked_with_retry.jsonl"
    write_tally(demo, "knocked_with_retry", lines(6, 6, 100, attempts=3), demo / "run")
    found = told(file, capsys)
    assert "separation" not in grades(found), "two first attempts failed, and of the retried ones nothing is known"
    assert [one["peak_energy"] is None for one in found["episodes"]] == [False] * 20 + [True] * 12
    assert "energies" not in found["episodes"][0]
    assert any("12 of 32 were retried" in str(value) for _, value in verb._file(file, None).rows)


@pytest.mark.parametrize(("calibration", "highest"), [(None, 4.0), (RUN / "calibration.json", 9.0)])
def test_scores_that_a_monitor_smoothed_are_not_smoothed_again(
    calibration: Path | None, highest: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.jsonl"
    tally(file, "a", Trial("twin", Trained(RUN, calibration=calibration), Limits(1.0)), [], [])
    with file.open("a") as kept:
        kept.write(json.dumps(lines(1, 0)[0] | {"scores": [1.0, 2.0, 9.0]}) + "\n")
        kept.write('{"seed": 3}\n')  # of something else
    (one,) = told(file, capsys)["episodes"]
    assert one["peak_energy"] == highest


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 40)])
def test_every_report_is_one_screen(demo: Path, size: tuple[int, int]) -> None:
    reports: list[Report] = [verb._folder(demo / name) for name in ("", "run", "rollouts")]
    reports += [verb._file(demo / "policy.jsonl", None), verb._file(next((demo / "rollouts").glob("*.h5")), None)]
    for report in reports:
        shown = [line.plain for line in screen(report, *size)]
        page = Console(width=size[0], file=io.StringIO())
        for line in screen(report, *size):
            page.print(line)
        assert page.file.getvalue().count("\n") < size[1], report.title
        assert max(map(cell_len, shown[:-1])) <= size[0]
        assert shown[-1] == f"next  {report.next}", "it is to be typed"
        assert shown[0].split()[0] in ("GOOD", "DOUBTFUL", "BAD")
        assert shown[-1].startswith("next  ebt ")


def test_an_untrained_run_is_no_good(untrained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(untrained.path, capsys)
    assert grades(found)["demonstrations"] == "bad" and grades(found)["calibration"] == "doubtful"


def record_demos(folder: Path, spec: BenchSpec, bench: str, ticks: Any, count: int) -> None:
    """So many short demonstrations of that bench, each on a scene of its own."""
    with Recorder(folder, spec) as recorder:
        for seed in range(count):
            recorder.start(EpisodeMeta("demo", spec.task, seed=seed, bench=bench))
            for tick in ticks(5):
                pose = np.full(len(spec.joints), 0.1 * seed, np.float32)
                seen = replace(tick.step.observation, position=pose, velocity=pose, effort=pose)
                frames = {name: frame for name, frame in seen.frames.items() if name in spec.cameras}
                decision = Decision(pose, Actor.HUMAN)
                recorder.append(
                    replace(
                        tick.step, observation=replace(seen, frames=frames), decision=decision, sent=pose, events=()
                    )
                )
            recorder.finish(Outcome.SUCCESS)


@pytest.mark.parametrize(
    "change",
    [{"joints": ("left/a", "left/b", "right/a")}, {"sim": False}, {"rate_hz": 50.0}, {"cameras": {}}],
)
def test_demonstrations_of_another_bench_are_counted_and_left_out(
    change: dict[str, Any], spec: BenchSpec, ticks: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_demos(tmp_path, spec, "twin", ticks, 3)
    record_demos(tmp_path, replace(spec, **change), "other", ticks, 2)
    found = told(tmp_path, capsys)
    assert grades(found)["mixed_benches"] == "bad"
    reason = next(r for r in found["reasons"] if r["name"] == "mixed_benches")
    assert reason["value"] == 2 and "episode_0003.h5" in reason["text"]
    assert len(found["episodes"]) == 3 and found["usable"] == 3


@pytest.mark.parametrize(
    ("bench", "task", "options"),
    [
        ("twin", "pick_place", ""),
        ("twin", "peg_insert", "--task peg_insert "),
        ("koch", "pick_place", "--bench koch "),
        ("koch", "fold a towel", "--bench koch --task 'fold a towel' "),
        ("mine", "pick_place", "--bench mine --task pick_place "),
        ("", "", ""),
    ],
)
def test_more_demonstrations_are_asked_of_the_same_bench_and_task(
    bench: str, task: str, options: str, spec: BenchSpec, ticks: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_demos(tmp_path, replace(spec, task=task), bench, ticks, 2)
    assert told(tmp_path, capsys)["next"] == f"ebt collect {options}-n 50 --out {tmp_path}"


@pytest.mark.parametrize(
    ("contract", "options"),
    [
        ({}, ""),
        ({"task": "peg_insert"}, ""),
        ({"bench": "koch", "sim": False}, "--bench koch "),
        ({"bench": "koch", "sim": False, "task": "fold"}, "--bench koch --task fold "),
    ],
)
def test_a_run_is_deployed_on_the_bench_and_task_it_was_trained_for(
    contract: dict[str, Any], options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    kept = json.loads((RUN / "run.json").read_text())
    kept["contract"] |= contract
    (tmp_path / "run" / "run.json").write_text(json.dumps(kept))
    assert told(tmp_path / "run", capsys)["next"] == f"ebt deploy {tmp_path / 'run'} {options}-n 20"
