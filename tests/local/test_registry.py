from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from keelson.errors import OwnershipError, PlatformError, ServerError, SettingsError
from keelson.local import registry, stack
from keelson.local.registry import Registry, ServerRecord

ID = "0123456789ab"


def test_a_registry_is_claimed_once() -> None:
    assert Registry("a-dev").claim(ID, environment="dev").environment == "dev"
    assert Registry("a-dev").claim(ID, environment="test").environment == "test"
    assert Registry("a-dev").claim(ID).environment == "test"
    with pytest.raises(OwnershipError, match="belongs to another stack of the name a-dev"):
        Registry("a-dev").claim("ffffffffffff")


def test_a_stack_keeps_its_id() -> None:
    first = stack.register("a-dev", "dev")
    assert len(first) == 12
    assert stack.register("a-dev", "dev") == first
    assert stack.register("b-dev", "dev") != first


def test_passwords_are_long_unambiguous_and_kept() -> None:
    made = Registry("a-dev").ensure_password("main", "postgres")
    assert len(made) == 32
    assert set(made) <= set(registry.ALPHABET)
    assert not set("0O1lI") & set(registry.ALPHABET)
    assert (
        Registry("a-dev").ensure_password("main", "postgres") == made == Registry("a-dev").password("main", "postgres")
    )
    with pytest.raises(ServerError, match="no password for app on server main"):
        Registry("a-dev").password("main", "app")


def test_many_writers_at_once_lose_nothing() -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        made = list(pool.map(lambda n: Registry("a-dev").ensure_password("main", f"role{n % 20}"), range(60)))
    assert len(set(made)) == 20
    assert len({Registry("a-dev").password("main", f"role{n}") for n in range(20)}) == 20


def test_files_are_the_users_alone() -> None:
    Registry("a-dev").claim(ID)
    Registry("a-dev").ensure_password("main", "postgres")
    files = [path for path in Registry("a-dev").directory.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(Registry("a-dev").directory.stat().st_mode) == 0o700


def test_servers_are_recorded_and_forgotten() -> None:
    known = ServerRecord("main", 5432, "/d", fixed_port=5432, avoid_ports=(1, 2), parameters={"work_mem": "1MB"})
    Registry("a-dev").record(ID, known)
    Registry("a-dev").ensure_password("main", "postgres")
    assert Registry("a-dev").servers() == {"main": known}
    assert [each.key for each in registry.every()] == ["a-dev"]
    Registry("a-dev").forget("main")
    Registry("a-dev").forget_passwords("main")
    assert Registry("a-dev").servers() == {}
    with pytest.raises(ServerError):
        Registry("a-dev").password("main", "postgres")


def test_a_damaged_registry_is_one_sentence() -> None:
    Registry("a-dev").claim(ID)
    (Registry("a-dev").directory / "stack.json").write_text("{")
    with pytest.raises(PlatformError, match=r"cannot read .*stack\.json"):
        Registry("a-dev").servers()


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".a", "a b", "x" * 101])
def test_a_key_that_cannot_name_a_directory_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="cannot name a directory"):
        stack.register(key, "dev")
