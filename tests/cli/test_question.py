"""Questions to which nobody answers."""

from __future__ import annotations

import io

import pytest

from keelson.cli.question import ask
from keelson.errors import PrivacyError


def test_an_answer_is_returned_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" 11111111 \n"))
    assert ask("the id again", "nothing is erased") == "11111111"


def test_the_end_of_the_input_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(PrivacyError) as refused:
        ask("the id again", "nothing is erased")
    assert str(refused.value) == "nothing is erased, as nobody answered; add --yes where nobody can be asked"
