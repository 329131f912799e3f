from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keelson.preview import read_events

URN = "urn:pulumi:dev::keelson::pulumi-python:dynamic/keelson:Schema::auth-schema"
STATE = {"type": "pulumi-python:dynamic/keelson:Schema", "inputs": {"a": 1}, "outputs": {"a": 1}}
SUMMARY = {"summaryEvent": {"resourceChanges": {"same": 1}, "result": "succeeded"}}


def resource(op: str, old: Any = STATE, new: Any = STATE, kind: str = "resOutputsEvent") -> dict[str, Any]:
    return {kind: {"metadata": {"op": op, "urn": URN, "old": old, "new": new}}}


def log(tmp_path: Path, *events: dict[str, Any], tail: str = "") -> Path:
    path = tmp_path / "events"
    lines = [json.dumps({"sequence": number, "timestamp": 0, **event}) for number, event in enumerate(events)]
    path.write_text("\n".join(lines) + "\n" + tail)
    return path


def test_a_preview_in_which_all_is_the_same_changes_nothing(tmp_path: Path) -> None:
    assert read_events(log(tmp_path, resource("same"), SUMMARY)).changes_nothing


def test_an_output_that_differs_is_a_change_though_no_resource_is_one(tmp_path: Path) -> None:
    events = read_events(log(tmp_path, resource("same", new=STATE | {"outputs": {"a": 2}}), SUMMARY))
    assert not events.changes_nothing


def test_protection_that_differs_is_a_change(tmp_path: Path) -> None:
    for key in ("protect", "retainOnDelete"):
        new = STATE | {key: True}
        assert not read_events(
            log(tmp_path, resource("same", new=new, kind="resourcePreEvent"), SUMMARY)
        ).changes_nothing


def test_outputs_are_not_known_before_a_step_and_do_not_count_there(tmp_path: Path) -> None:
    new = STATE | {"outputs": {}}
    assert read_events(log(tmp_path, resource("same", new=new, kind="resourcePreEvent"), SUMMARY)).changes_nothing


def test_a_log_that_is_cut_off_or_missing_is_of_a_preview_that_did_not_finish(tmp_path: Path) -> None:
    cut = read_events(log(tmp_path, resource("same"), tail='{"sequence": 3, "summ'))
    assert not cut.finished
    assert not cut.changes_nothing
    assert not read_events(tmp_path / "none").changes_nothing


def test_a_preview_that_failed_is_not_one_that_changes_nothing(tmp_path: Path) -> None:
    failed = {"summaryEvent": {"resourceChanges": {"same": 1}, "result": "failed"}}
    assert not read_events(log(tmp_path, resource("same"), failed)).changes_nothing


def test_a_replacement_is_one_step(tmp_path: Path) -> None:
    steps = [resource("create-replacement", old={}), resource("replace"), resource("delete-replaced", new={})]
    (step,) = read_events(log(tmp_path, *steps, SUMMARY)).steps
    assert step.op == "replace"
    assert step.old
    assert step.new


def test_errors_come_once_and_without_the_engines_last_word(tmp_path: Path) -> None:
    def error(text: str) -> dict[str, Any]:
        return {"diagnosticEvent": {"severity": "error", "message": text}}

    events = read_events(log(tmp_path, error("bad\n"), error("bad"), error("preview failed")))
    assert events.errors == ("bad",)
