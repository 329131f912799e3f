"""Which logins show a certificate, by the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelson.errors import SettingsError
from keelson.settings.client_certificates import of_server
from keelson.settings.networks import rules_of
from tests.settings.test_roles import stack_of

KEPT_BY_AN_OPERATOR = {"target": "kubernetes", "servers": {"main": {"ha": True}}}
TEXT = """\
client_certificates: {app: with_password, robot: without_password}
logins:
  robot: {inherits: readonly}
"""


def test_nobody_shows_one_by_default(tmp_path: Path) -> None:
    assert of_server(stack_of(tmp_path, {"auth": ""}), "main") == []


def test_kinds_and_logins_are_named(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, {"auth": TEXT})
    assert of_server(stack, "main") == ["auth_app_a", "auth_app_b", "robot"]


def test_their_lines_ask_for_one_over_encrypted_connections_alone(tmp_path: Path) -> None:
    found = [line for line in rules_of(stack_of(tmp_path, {"auth": TEXT}), "main") if line.split()[1] == '"auth"']
    assert found == [
        'host "auth" "auth_migrator","auth_readonly_a","auth_readonly_b" 127.0.0.1/32 scram-sha-256',
        'hostssl "auth" "auth_app_a","auth_app_b" 127.0.0.1/32 scram-sha-256 clientcert=verify-full',
        'hostssl "auth" "robot" 127.0.0.1/32 cert',
    ]


@pytest.mark.parametrize(
    ("text", "settings", "sentence"),
    [
        ("{migrator: with_password}", {}, "names 'migrator', which is no login of applications; write one of app, readonly"),
        ("{app: sometimes}", {}, "client_certificates.app"),
        ("{app: with_password}", KEPT_BY_AN_OPERATOR, "is for servers of one instance: those of main trust their operator's authority"),
        ("{readonly: with_password}", {"pgadmin": {"enabled": True}}, "as which pgAdmin logs in without a certificate"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_next_step(
    tmp_path: Path, text: str, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        stack_of(tmp_path, {"auth": f"client_certificates: {text}\n"}, **settings)
    assert "\n" not in str(refused.value)
