"""Lines of pg_hba.conf: which of them decide about anything, and for whom."""

from __future__ import annotations

import pytest

from keelson.postgres.hardening.rules import Rule, of_user, reached


def rules(*lines: str) -> tuple[Rule, ...]:
    return tuple(rule(number, line) for number, line in enumerate(lines, start=1))


def rule(number: int, line: str) -> Rule:
    kind, databases, users, *rest = line.split()
    address, netmask = ("", "") if kind == "local" else rest[0].partition("/")[::2]
    return Rule(number, kind, tuple(databases.split(",")), tuple(users.split(",")), address, netmask, rest[-1])


def lines(found: object) -> list[int]:
    return [each.line for each in found]


ALL4, HOST4 = "0.0.0.0/0.0.0.0", "127.0.0.1/255.255.255.255"
ALL6, HOST6 = "::/::", "::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
NET = "10.1.0.0/255.255.0.0"
PART = "10.1.2.0/255.255.255.0"


@pytest.mark.parametrize(
    ("first", "second", "is_reached"),
    [
        (f"host all all {ALL4} reject", f"hostssl shop app {NET} cert", False),
        (f"hostssl all all {ALL4} cert", f"host shop app {NET} trust", True),  # without TLS it is
        (f"host all all {NET} reject", f"host all all {PART} trust", False),
        (f"host all all {PART} reject", f"host all all {NET} trust", True),
        (f"host all all {ALL4} reject", f"host all all {ALL6} trust", True),
        (f"host all all {ALL4} reject", "host all all all trust", True),
        ("host all all all reject", f"host all all {ALL6} trust", False),
        ("host all all all reject", f"host replication all {ALL4} trust", True),
        ("host all,replication all all reject", f"host replication all {ALL4} trust", False),
        ("local all all reject", "host all all all trust", True),
        ("host shop app all reject", "host shop app,other all trust", True),
        ("host shop app,other all reject", "host shop app,other all trust", False),
    ],
)
def test_a_line_that_an_earlier_one_covers_is_never_reached(first: str, second: str, *, is_reached: bool) -> None:
    assert lines(reached(rules(first, second))) == ([1, 2] if is_reached else [1])


@pytest.mark.parametrize(
    ("line", "is_remote"),
    [
        ("local all all peer", False),
        (f"host all all {HOST4} trust", False),
        (f"host all all {HOST6} trust", False),
        ("host all all samehost trust", False),
        ("host all all samenet trust", True),
        ("host all all all trust", True),
        (f"host all all {ALL6} trust", True),
        (f"host all all {NET} trust", True),
        ("host all all .example.org trust", True),
    ],
)
def test_the_loopback_address_and_sockets_are_no_other_machine(line: str, *, is_remote: bool) -> None:
    (only,) = rules(line)
    assert only.is_remote is is_remote


def test_a_group_or_a_pattern_may_be_about_anybody() -> None:
    found = rules(
        "host all +staff all cert", "host all /^post all cert", "host all app all cert", "host all all all cert"
    )
    assert lines(of_user(found, "postgres")) == [1, 2, 4]


def test_a_user_who_was_rejected_is_let_in_by_no_later_line() -> None:
    found = rules("host all postgres all reject", "host all all all cert", "host replication postgres all cert")
    assert lines(of_user(found, "postgres")) == [1, 3]
