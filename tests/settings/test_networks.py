"""From which networks clients may come, by the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelson.settings.networks import PRIVATE, rules_of
from tests.settings.test_roles import refusal, stack_of

LOGINS = '"auth_migrator","auth_app_a","auth_app_b","auth_readonly_a","auth_readonly_b"'


def lines(root: Path, text: str = "", target: str = "docker", **settings: object) -> list[str]:
    """The lines about the logins of a service."""
    stack = stack_of(root, {"auth": text}, target=target, **settings)
    return [line for line in rules_of(stack, "main") if '"auth' in line]


def addresses(found: list[str]) -> list[str]:
    return [line.split()[3] for line in found]


def test_clients_come_from_private_networks_and_are_encrypted(tmp_path: Path) -> None:
    found = lines(tmp_path)
    assert addresses(found) == ["127.0.0.1/32", "::1/128", *PRIVATE]
    assert all(line.startswith(f'hostssl "auth" {LOGINS} ') for line in found)


def test_a_laptops_server_lets_in_from_this_machine_whatever_is_said(tmp_path: Path) -> None:
    found = lines(tmp_path, "networks: any\n", target="local", networks=["10.0.0.0/8"])
    assert found == [f'host "auth" {LOGINS} 127.0.0.1/32 scram-sha-256']


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ("local", ["127.0.0.1/32", "::1/128"]),
        ("any", ["all"]),
        (["10.20.0.0/16", "2001:db8::/32"], ["127.0.0.1/32", "::1/128", "10.20.0.0/16", "2001:db8::/32"]),
        (["private", "203.0.113.0/24"], ["127.0.0.1/32", "::1/128", *PRIVATE, "203.0.113.0/24"]),
    ],
)
def test_words_and_networks_say_from_where(tmp_path: Path, networks: object, expected: list[str]) -> None:
    assert addresses(lines(tmp_path, networks=networks)) == expected


def test_what_is_said_nearest_to_a_login_holds(tmp_path: Path) -> None:
    text = """\
networks: 10.1.0.0/16
bounds: {readonly: {networks: 10.2.0.0/16}}
logins:
  robot: {inherits: readonly, bounds: {networks: local}}
  viewer: {privileges: [select]}
"""
    stack = stack_of(tmp_path, {"auth": text}, target="docker", networks="any")
    found = [line.split()[2:4] for line in rules_of(stack, "main") if line.startswith('hostssl "auth"')]
    outside = [(logins, address) for logins, address in found if not address.startswith(("127.", "::1"))]
    assert outside == [
        ('"auth_migrator","auth_app_a","auth_app_b"', "10.1.0.0/16"),
        ('"auth_readonly_a","auth_readonly_b","viewer"', "10.2.0.0/16"),
    ]
    assert ['"robot"', "127.0.0.1/32"] in found


def test_the_last_line_rejects_and_the_platform_comes_from_where_it_works(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, {"auth": ""}, target="docker", networks=["203.0.113.0/24"])
    found = rules_of(stack, "main")
    assert found[-1] == "host all all all reject"
    assert {line.split()[3] for line in found if '"backup"' in line} == {
        *("127.0.0.1/32", "::1/128", "203.0.113.0/24"),
        *PRIVATE,
    }
    assert not [line for line in found if "all all all" in line and "reject" not in line]


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "10.0.0.1/8", "everywhere", "10.0.0.0/8 trust", ""])
def test_what_is_no_network_is_told(tmp_path: Path, wrong: str) -> None:
    said = refusal(tmp_path, {"auth": ""}, networks=[wrong])
    assert f"the setting 'keelson:networks' is wrong: {wrong!r} is no network" in said
    assert "\n" not in said
