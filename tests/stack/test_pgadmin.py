"""pgAdmin as a part of the example stack, brought up by the real engine and used in a real browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SERVERS
from tests.local.pgadmin_client import PgAdminSession
from tests.stack.harness import CHECKOUT, StackUnderTest, wait_until
from tests.stack.pgadmin_browser import picture, visitor

ADMINISTRATORS = {"main": "main (administrator)", "timescale": "timescale (administrator)"}
PRICES = """\
SELECT timestamp, symbol, open, high, low, close, volume
FROM market_data.ohlcv
ORDER BY timestamp DESC, symbol
LIMIT 7"""


@pytest.fixture(scope="module")
def example(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """The project's ten databases, with pgAdmin answering."""
    made = make_shared_stack(servers=SERVERS, pgadmin={"enabled": True})
    shutil.copytree(CHECKOUT / "sql", made.root / "sql", dirs_exist_ok=True)
    made.keelson("up")
    wait_until(lambda: "starting" not in made.keelson("status", check=False).stdout, "pgAdmin answers", 60)
    return made


def login(stack: StackUnderTest) -> dict[str, str]:
    return dict(json.loads(stack.keelson("pgadmin", "--json").stdout))


def test_a_person_opens_every_server_without_a_password_and_sees_the_rows_of_a_query(
    example: StackUnderTest, tmp_path: Path
) -> None:
    """README's picture is the one that this test takes."""
    with visitor() as guest:
        guest.log_in(**login(example))
        assert guest.shown() == ["main", "timescale"]
        for group, administrator in ADMINISTRATORS.items():
            guest.open(group, administrator)
            servers = [name for name in guest.shown() if name not in ADMINISTRATORS]
            for server in servers:
                guest.open(server, "Databases")
                assert not guest.asked_for_a_password()
                guest.close(server, "Databases")
            guest.close(group, administrator)
            assert len(servers) == len(databases(example, group)) + 1
        guest.open("main", ADMINISTRATORS["main"])
        guest.open("timescale", ADMINISTRATORS["timescale"])
        guest.open("market", "Databases")
        guest.open("Databases", "market")
        guest.open("market", "Schemas", "icon-database")
        rows = guest.query(PRICES)
        assert len(rows) == 7
        assert all(symbol for _, symbol, *_ in rows)
        picture(guest, tmp_path / "pgadmin.png")
        assert guest.complaints == []


def databases(stack: StackUnderTest, server: str) -> list[str]:
    with stack.connect("auth" if server == "main" else "market", "admin") as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template.)$'")
        return [name for (name,) in rows]


def session_of(stack: StackUnderTest) -> PgAdminSession:
    address = login(stack)
    session = PgAdminSession(int(address["url"].rstrip("/").rpartition(":")[2]))
    assert session.log_in(address["email"], address["password"])
    return session


def test_a_service_is_opened_as_its_reader(example: StackUnderTest) -> None:
    session = session_of(example)
    for group, servers in session.tree().items():
        for name, place in servers.items():
            role = "postgres" if name == ADMINISTRATORS[group] else f"{name}_readonly_a"
            assert session.call("GET", f"/browser/server/obj/{place}")[1]["username"] == role


def test_a_service_that_is_added_and_taken_out_comes_and_goes_in_the_list(example: StackUnderTest) -> None:
    session = session_of(example)
    example.write_service("notes")
    example.keelson("up")
    wait_until(lambda: "notes" in session.tree()["main"], "the new service is in the list", 30)
    assert session.connect("main", "notes")
    shutil.rmtree(example.root / "sql" / "notes")
    example.keelson("up")
    wait_until(lambda: "notes" not in session.tree()["main"], "the service has left the list", 30)


def test_its_password_stands_in_no_state_and_no_log(example: StackUnderTest) -> None:
    password = login(example)["password"]
    assert password not in json.dumps(example.export())
    logged = example.logs()
    assert logged
    assert password not in logged


def test_it_can_be_stopped_and_started_by_itself(example: StackUnderTest) -> None:
    example.keelson("stop", "pgadmin")
    assert not example.pid("pgadmin")
    example.keelson("start")
    assert example.keelson("doctor", check=False).returncode == 0  # what was started a moment ago may still be starting
    wait_until(lambda: "starting" not in example.keelson("status", check=False).stdout, "pgAdmin answers", 60)


def test_it_can_be_left_out(example: StackUnderTest) -> None:
    example.write_settings(pgadmin={"enabled": False})
    example.keelson("up")
    assert not example.pid("pgadmin")
    assert not example.has_data("pgadmin")
    refused = example.keelson("pgadmin", check=False)
    assert refused.returncode == 1
    assert "has no pgAdmin; set keelson:pgadmin.enabled to true and run `keelson up`" in refused.stderr
