"""What is said of a part by the way it answers."""

from __future__ import annotations

import pytest

from keelson.agent import health
from keelson.status.looking import _part
from keelson.target import Part

LACK = "2 of 3 instances are ready"


@pytest.mark.parametrize(
    ("part", "state", "fault"),
    [
        (Part(name="main", running=True, answering=True), "answers", ""),
        (Part(name="main", running=True, answering=True, degraded=True, detail=LACK), "degraded", f"main is degraded: {LACK}"),
        (Part(name="main", running=True, answering=False, starting=True), "starting", ""),
        (Part(name="main", running=True, answering=False, detail="why"), "does not answer", "main does not answer: why"),
        (Part(name="main", running=False, answering=False), "down", "main is down"),
    ],
)  # fmt: skip
def test_a_part_that_lacks_an_instance_answers_and_is_not_well(part: Part, state: str, fault: str) -> None:
    found = _part(part)
    assert (found.state, found.fault, found.well) == (state, fault, not fault)
    assert found.answers == part.answering
    assert health._part(part)["well"] == found.well
