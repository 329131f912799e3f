from __future__ import annotations

import pytest

from keelson import stack
from keelson.errors import EngineError
from tools.machine import shell


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    """A `pulumi` on PATH, whatever set-up thought of it; set-up has made its choice before."""
    shell.ensure()
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho v3.40.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def test_the_engine_is_the_one_that_set_up_chose_even_where_another_stands_on_path(pulumi):
    chosen = shell.ENGINE_LINK.readlink()
    found = stack.find_engine()
    assert found != pulumi
    assert found.parent.resolve() == chosen.resolve()


def test_without_a_choice_it_is_the_one_on_path(pulumi, monkeypatch, tmp_path):
    monkeypatch.setattr(stack, "CHOSEN_ENGINE", tmp_path / "engine")
    assert stack.find_engine() == pulumi


def test_without_any_the_sentence_names_the_set_up(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(stack, "CHOSEN_ENGINE", tmp_path / "engine")
    with pytest.raises(EngineError, match="make setup"):
        stack.find_engine()
