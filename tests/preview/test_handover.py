"""Objects that are handed over to another tool: they leave the stack, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keelson.preview import document_of
from keelson.preview.events import Events, Step

SERVER = "urn:pulumi:dev::keelson::keelson:index:Server::main"


def gone(**more: Any) -> Step:
    state = {"type": "kubernetes:apps/v1:StatefulSet", "parent": SERVER, "inputs": {"kind": "StatefulSet"}, **more}
    return Step("delete", "urn:pulumi:dev::keelson::kubernetes:apps/v1:StatefulSet::main", state, {})


@pytest.mark.parametrize(("retained", "verdict"), [(True, "changes"), (False, "destructive")])
def test_an_object_that_is_left_standing_is_no_danger(tmp_path: Path, retained: bool, verdict: str) -> None:  # noqa: FBT001
    server = {"type": "keelson:index:Server", "inputs": {}}
    events = Events((gone(retainOnDelete=retained), Step("same", SERVER, server, server)), finished=True)
    assert document_of(events, "dev", tmp_path).verdict == verdict
