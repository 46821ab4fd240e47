import json

import pytest

from ebt_cli import doctor
from ebt_cli.app import run
from ebt_cli.doctor import FAULT, NOTE, OK, Finding


def test_the_machine_is_looked_at_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    checks = {finding["check"] for finding in findings}
    assert {"python", "torch", "twin renderer", "RealSense", "disk", "real-time priority"} <= checks
    assert {finding["state"] for finding in findings} <= {OK, NOTE, FAULT}
    assert code == int(any(finding["state"] == FAULT for finding in findings))


def test_every_fault_and_note_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert all(finding["fix"] for finding in findings if finding["state"] != OK)


def test_a_fault_fails_and_its_mend_is_the_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([Finding("disk", FAULT, "full", "buy a disk")]),))
    assert run(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == "disk\tfault\tfull\tbuy a disk"
    assert err.splitlines() == ["error: disk: broken", "hint: buy a disk"]
