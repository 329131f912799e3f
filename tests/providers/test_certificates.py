"""When a preview says that a certificate is renewed: by the time alone, and of nothing that has none."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from providers import certificates
from providers.base import Provider
from providers.docker_part import DockerFilesProvider
from providers.kubernetes_part import KubernetesFilesProvider
from providers.local_server import LocalServerProvider

DAY = dt.timedelta(days=1)
RENEWAL = dt.datetime(2030, 5, 1, 12, tzinfo=dt.UTC)
STATE = {"certificate": {"of": "main", "ends": "2030-08-31T12:00:00+00:00", "renewal": RENEWAL.isoformat()}}


def test_nothing_is_due_until_the_renewal(capfd: pytest.CaptureFixture[str]) -> None:
    assert not certificates.due("main", STATE, RENEWAL)
    assert not certificates.due("main", STATE, RENEWAL - DAY)
    assert not capfd.readouterr().out


def test_what_is_due_is_said_with_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    assert certificates.due("main", STATE, RENEWAL + DAY)
    said = capfd.readouterr().out
    assert said == (
        "main: the certificate of main ends on 2030-08-31, and is renewed by a reload; sessions live on\n"
    )  # fmt: skip


def test_of_the_authority_it_is_said_whose_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    assert certificates.due("main", {"certificate": STATE["certificate"] | {"of": "authority"}}, RENEWAL + DAY)
    assert "the certificate of the stack's authority ends" in capfd.readouterr().out


def test_an_older_state_that_knows_no_end_is_brought_up_to_date_once() -> None:
    assert certificates.due("main", {}, RENEWAL)
    assert certificates.due("main", {"certificate": None}, RENEWAL)
    assert not certificates.due("main", {"certificate": {}}, RENEWAL)


@pytest.mark.parametrize("kind", ["server", "cluster", "pgadmin", "postgres-exporter"])
@pytest.mark.parametrize("provider", [DockerFilesProvider(), KubernetesFilesProvider()])
def test_a_part_with_certificates_is_updated_when_one_is_due(provider: Provider[Any], kind: str) -> None:
    given, past = {"name": "main", "kind": kind}, STATE["certificate"] | {"renewal": "2020-01-01T00:00:00+00:00"}
    future = STATE["certificate"] | {"renewal": "2100-01-01T00:00:00+00:00"}
    assert provider.diff("", given | {"certificate": past}, given).changes
    assert not provider.diff("", given | {"certificate": future}, given).changes


@pytest.mark.parametrize("kind", ["redis", "agent", "redis-exporter"])
def test_a_part_without_certificates_is_never_updated_for_one(kind: str) -> None:
    given = {"name": "redis", "kind": kind}
    assert not KubernetesFilesProvider().diff("", given, given).changes
    assert not DockerFilesProvider().diff("", given, given).changes


def test_a_server_of_this_machine_is_updated_when_its_certificate_is_due() -> None:
    given = {"server": "main"}
    past, future = (
        {"certificate": STATE["certificate"] | {"renewal": f"{year}-01-01T00:00:00+00:00"}} for year in (2020, 2100)
    )
    assert LocalServerProvider().diff("", given | past, given).changes
    assert not LocalServerProvider().diff("", given | future, given).changes
