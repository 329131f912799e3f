"""The turns of two logins on a real server, with the registry of a laptop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keelson.endpoint import Reference, resolve
from keelson.errors import SettingsError, UnreachableError
from keelson.local.registry import Registry
from keelson.local.state import StateHere
from keelson.local.target import LocalTarget
from keelson.postgres import rotation as until
from keelson.rotation import in_use, set_aside
from keelson.target import Address, target
from providers import roles as roles_module
from providers import rotation as rotation_module
from providers.roles import RolesInputs, RolesProvider
from providers.rotation import RotationInputs, RotationProvider
from tests.services import Service

KEY = "keelson-turns"


class Killed(BaseException):
    """Ends an update between two of its steps, as a kill does."""


@dataclass(frozen=True)
class Rotated:
    """A service with a database and the two resources that rotate its logins."""

    service: Service
    reference: Reference

    def roles(self, generation: int = 1, **more: Any) -> dict[str, Any]:
        inputs = RolesInputs(self.reference, self.service.stack_id, self.service.name, generation=generation, **more)
        return RolesProvider().make(inputs)

    def end(self, generation: int, overlap: int = 24) -> dict[str, Any]:
        return RotationProvider().make(RotationInputs(self.reference, self.service.name, generation, overlap))

    def up(self, generation: int, overlap: int = 24) -> None:
        self.roles(generation)
        self.end(generation, overlap)

    def url(self, login: str) -> str:
        return resolve(self.reference.to(database=self.service.name, role=login)).url()

    @property
    def handed_out(self) -> str:
        turn = target("local").turn(KEY, "main", self.service.name)
        return in_use(self.service.name, turn.generation).app

    def hours_left(self, admin: psycopg.Connection, login: str) -> float | None:
        query = "SELECT extract(epoch FROM rolvaliduntil - now()) / 3600 FROM pg_roles WHERE rolname = %s AND isfinite(rolvaliduntil)"
        row = admin.execute(query, [login]).fetchone()
        return float(row[0]) if row else None


def who(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT current_user").fetchone()[0]


def is_refused(url: str) -> bool:
    try:
        who(url)
    except psycopg.OperationalError as fault:
        return "password authentication failed" in str(fault)
    return False


@pytest.fixture
def rotated(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotated]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    registry = Registry(KEY)
    address = Address(host="127.0.0.1", port=service.server.port)  # of a server that has no certificate
    monkeypatch.setattr(LocalTarget, "locate", lambda *_: address)
    registry.set_password("main", "postgres", service.server.password)
    registry.claim(service.stack_id)
    made = Rotated(service, Reference(stack=KEY, target="local", server="main"))
    made.roles()
    service.ensure_database()
    service.open()
    return made


def test_the_next_generation_hands_out_the_other_login_with_a_new_password_and_ends_the_one_of_before_later(
    rotated: Rotated, admin: psycopg.Connection
) -> None:
    names = rotated.service.roles
    old, never_used = rotated.url(names.app_a), rotated.url(names.app_b)
    assert rotated.handed_out == names.app_a
    rotated.up(2)
    assert rotated.handed_out == names.app_b
    assert who(rotated.url(names.app_b)) == names.app_b
    assert is_refused(never_used), "it got a new password before it was handed out"
    assert who(old) == names.app_a
    assert 23.9 < rotated.hours_left(admin, names.app_a) <= 24
    assert rotated.hours_left(admin, names.app_b) is None
    assert rotated.hours_left(admin, names.migrator) is None


def test_a_login_whose_time_is_over_is_refused_while_its_sessions_live_on(rotated: Rotated) -> None:
    names = rotated.service.roles
    old = rotated.url(names.readonly_a)
    with psycopg.connect(old) as session:
        rotated.up(2, overlap=0)
        assert is_refused(old)
        assert session.execute("SELECT current_user").fetchone() == (names.readonly_a,)
    assert who(rotated.url(names.readonly_b)) == names.readonly_b


def test_a_password_that_has_ended_is_no_longer_on_the_server_as_a_pooler_would_still_take_it(
    rotated: Rotated, admin: psycopg.Connection
) -> None:
    names = rotated.service.roles
    known = "SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname = ANY(%s) ORDER BY 1"
    pair = [names.app_a, names.app_b]

    def kept() -> list[str]:
        return [name for (name,) in admin.execute(known, [pair])]

    rotated.up(2)
    assert kept() == pair, "both work"
    rotated.end(2, overlap=0)
    assert kept() == [names.app_b]
    rotated.roles(2, limits={names.app_b: 7})
    assert kept() == [names.app_b]
    rotated.up(3)
    assert kept() == pair
    assert who(rotated.url(names.app_a)) == names.app_a


def test_a_step_back_within_the_overlap_hands_out_the_login_of_before_with_its_password(
    rotated: Rotated, admin: psycopg.Connection
) -> None:
    names = rotated.service.roles
    first = rotated.url(names.app_a)
    rotated.up(2)
    second = rotated.url(names.app_b)
    rotated.up(1)
    assert rotated.handed_out == names.app_a
    assert rotated.url(names.app_a) == first
    assert who(first) == names.app_a
    assert rotated.hours_left(admin, names.app_a) is None
    assert who(second) == names.app_b
    assert rotated.hours_left(admin, names.app_b) > 23
    rotated.up(2)
    assert who(second) == names.app_b, "who has the second generation's password keeps it"


def test_a_step_back_after_the_overlap_brings_no_dead_password_back(rotated: Rotated) -> None:
    names = rotated.service.roles
    first = rotated.url(names.app_a)
    rotated.up(2, overlap=0)
    rotated.up(1)
    assert is_refused(first)
    assert who(rotated.url(names.app_a)) == names.app_a


def test_each_turn_has_a_password_of_its_own(rotated: Rotated) -> None:
    seen = set()
    for generation in (1, 2, 3, 4):
        rotated.up(generation)
        seen |= {rotated.url(login) for login in in_use(rotated.service.name, generation)}
    assert len(seen) == 8


def test_an_update_that_finds_all_done_changes_no_password_and_gives_no_more_time(
    rotated: Rotated, admin: psycopg.Connection
) -> None:
    names = rotated.service.roles
    rotated.up(2, overlap=1)
    before = Registry(KEY).directory.joinpath("secrets.json").read_text(), rotated.roles(2)
    rotated.up(2, overlap=24)
    assert (Registry(KEY).directory.joinpath("secrets.json").read_text(), rotated.roles(2)) == before
    assert rotated.hours_left(admin, names.app_a) < 1
    rotated.end(2, overlap=0)
    assert is_refused(rotated.url(names.app_a)), "and a shorter time is taken"


def kill_at(monkeypatch: pytest.MonkeyPatch, where: object, name: str, *, after: bool) -> None:
    real: Callable[..., Any] = getattr(where, name)

    def killed(*arguments: Any, **more: Any) -> None:
        if after:
            real(*arguments, **more)
        raise Killed

    monkeypatch.setattr(where, name, killed)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (roles_module, "ensure_roles"),
        (roles_module, "keep_open"),
        (Registry, "set_password"),
        (StateHere, "hand_out"),
        (until, "end"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
@pytest.mark.parametrize("after", [False, True])
def test_what_is_handed_out_works_after_a_kill_at_any_step_and_the_next_update_finishes(
    rotated: Rotated, admin: psycopg.Connection, where: object, name: str, *, after: bool
) -> None:
    names = rotated.service.roles
    old = rotated.url(names.app_a)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, where, name, after=after)
        with pytest.raises(Killed):
            rotated.up(2)
    assert who(rotated.url(rotated.handed_out)) == rotated.handed_out
    assert who(old) == names.app_a
    rotated.up(2)
    assert rotated.handed_out == names.app_b
    assert who(rotated.url(names.app_b)) == names.app_b
    assert who(old) == names.app_a
    assert 23.9 < rotated.hours_left(admin, names.app_a) <= 24


def test_a_password_that_the_user_chose_is_taken_as_it_is(rotated: Rotated) -> None:
    names = rotated.service.roles
    chosen = "it's %40 : mine \\ ü"
    rotated.roles(2, passwords={names.app_b: chosen})
    assert Registry(KEY).password("main", names.app_b) == chosen
    assert who(rotated.url(names.app_b)) == names.app_b


def test_a_password_from_a_store_outside_is_kept(rotated: Rotated) -> None:
    names = rotated.service.roles
    brought = Registry(KEY).password("main", names.app_b)
    rotated.roles(2, outside=[names.app_b])
    assert Registry(KEY).password("main", names.app_b) == brought
    assert who(rotated.url(names.app_b)) == names.app_b


def test_no_password_and_no_verifier_reaches_the_servers_log(rotated: Rotated) -> None:
    rotated.up(2)
    log = rotated.service.server.log.read_text()
    assert "VALID UNTIL" in log
    assert "SCRAM-SHA-256$" not in log
    assert not [word for word in _passwords() if word in log]


def _passwords() -> list[str]:
    registry = Registry(KEY)
    found = [registry.password("main", f"{name}") for name in ("postgres",)]
    return [*found, *registry._secrets().values()]


def check(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return rotation_module.examine({"service": "auth", **new}, {"service": "auth", **old})


def test_the_preview_names_the_logins_and_asks_nobody() -> None:
    told = check({}, {"generation": 2, "overlap": 24})["rotated"]
    assert told == "auth_app_b and auth_readonly_b come into use; auth_app_a and auth_readonly_a work for 24 h more"
    kept = check({"generation": 2, "rotated": told}, {"generation": 2, "overlap": 0})
    assert kept["rotated"] == told, "another text would be a change of the state"
    back = check({"generation": 2, "overlap": 0}, {})["rotated"]
    assert back == "auth_app_a and auth_readonly_a come into use; auth_app_b and auth_readonly_b end at once"
    assert "rotated" not in check({}, {})


def test_a_generation_that_is_not_the_next_one_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"keelson:rotation\.auth cannot go from 1 to 3, which is the same login"):
        check({}, {"generation": 3})


def test_a_chosen_password_that_was_in_use_before_is_refused() -> None:
    chosen = {"passwords": {"auth_app_a": "the old one"}}
    with pytest.raises(
        SettingsError, match=r"keelson:passwords\.auth_app_a is the password that auth_app_a had before"
    ):
        check({"generation": 2, **chosen}, {"generation": 3, **chosen})
    check({"generation": 2, **chosen}, {"generation": 1, **chosen})
    check({"generation": 2, **chosen}, {"generation": 3, "passwords": {"auth_app_a": "another"}})


def test_an_end_that_somebody_took_away_is_seen_and_set_again(rotated: Rotated, admin: psycopg.Connection) -> None:
    names, provider = rotated.service.roles, RotationProvider()
    rotated.roles(2)
    state = {"reference": rotated.reference.as_input(), "service": rotated.service.name, "generation": 2, "overlap": 24}
    state |= rotated.end(2)
    assert not provider.differs(provider.look(state) | state, state)
    admin.execute(f"ALTER ROLE {names.app_a} VALID UNTIL 'infinity'")
    assert provider.differs(state | provider.look(state), state)


def test_without_a_generation_in_the_settings_the_first_logins_are_back_and_the_others_end(
    rotated: Rotated, admin: psycopg.Connection
) -> None:
    name = rotated.service.name
    rotated.up(2)
    rotated.roles()
    state = {"reference": rotated.reference.as_input(), "service": name, "generation": 2, "overlap": 24}
    RotationProvider().remove(state)
    for login in set_aside(name, 1):
        assert rotated.hours_left(admin, login) > 23
    for login in in_use(name, 1):
        assert rotated.hours_left(admin, login) is None


def test_a_login_that_was_never_made_has_no_url(rotated: Rotated) -> None:
    with pytest.raises(UnreachableError, match="no password for nobody"):
        rotated.url("nobody")
