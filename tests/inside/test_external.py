"""Passwords from a store outside, as the stack's state keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelson.inside import external, operations
from keelson.local.registry import Registry

KEY = "external-dev"
LOGINS = {"auth_app_a": ["main"], "reader": ["main", "timescale"]}
PASSWORDS = {"auth_app_a": "from the store", "reader": "too"}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    operations.register(KEY, "dev")


def test_they_are_the_logins_passwords_on_each_of_their_servers() -> None:
    external.take_external(KEY, LOGINS, PASSWORDS)
    found = {role: Registry(KEY).password(*role.split("/")) for role in ("main/auth_app_a", "timescale/reader")}
    assert found == {"main/auth_app_a": "from the store", "timescale/reader": "too"}
    assert operations.ensure_password(KEY, "main", "auth_app_a") == "from the store"


def test_what_is_told_of_them_changes_with_one_and_shows_none() -> None:
    told = external.take_external(KEY, LOGINS, PASSWORDS)
    assert external.take_external(KEY, LOGINS, PASSWORDS) == told
    assert external.take_external(KEY, LOGINS, PASSWORDS | {"reader": "other"}) != told
    note = external.external(KEY)
    assert note["logins"] == LOGINS
    assert not any(text in str(note) for text in ("from the store", "other"))


def test_a_stack_that_takes_none_any_more_keeps_what_it_had() -> None:
    external.take_external(KEY, LOGINS, PASSWORDS)
    external.forget_external(KEY)
    external.forget_external(KEY)
    assert external.external(KEY) == {}
    assert Registry(KEY).password("main", "reader") == "too"
