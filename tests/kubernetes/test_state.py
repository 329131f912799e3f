"""The state of a stack in a Secret."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keelson import paths
from keelson.errors import OwnershipError, PlatformError, UnreachableError
from keelson.inside import operations
from keelson.kubernetes import names, state
from keelson.local.registry import Registry
from tests.kubernetes.ground import Ground

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="module")
def known(place: Ground) -> Ground:
    place.ask("register", environment="dev")
    return place


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def secret(ground: Ground) -> dict:
    found = ground.cluster.get(ground.cluster.at("secrets", names.STATE))
    assert found
    return found


def test_a_stack_that_is_not_there_is_told_and_nothing_is_made(place: Ground) -> None:
    for operation, arguments in {"records": {}, "ensure_password": {"server": "main", "role": "x"}}.items():
        with pytest.raises(UnreachableError, match=r"is not in namespace .* of the cluster .*; run `keelson up`"):
            state.ask(place.place, "other-dev", operation, **arguments)
    with pytest.raises(UnreachableError, match=r"namespace nowhere-at-all is not in the cluster .*; run `keelson up`"):
        state.ask("kubernetes:nowhere-at-all", "other-dev", "register", environment="dev")


def test_a_stack_registers_once_and_the_secret_says_whose_it_is(known: Ground) -> None:
    made = known.ask("register", environment="dev")

    assert known.ask("register", environment="dev") == made
    found = secret(known)["metadata"]
    assert found["labels"] == names.labels(known.key) | names.told_of(known.key, "state")
    assert found["annotations"] == {names.STACK_LABEL: known.key}


def test_a_question_that_only_reads_writes_nothing(known: Ground) -> None:
    chosen = known.ask("ensure_password", server="main", role="reader")
    before = state.version(known.place, known.key)

    assert known.ask("password", server="main", role="reader") == chosen
    known.ask("records")
    known.ask("register", environment="dev")

    assert state.version(known.place, known.key) == before


def test_certificates_jobs_and_passwords_stay(known: Ground) -> None:
    made = known.ask("certificate", server="main", names=["main"])
    assert known.ask("certificate", server="main", names=["main"]) == made
    assert known.ask("authority") == made["ca.crt"]
    known.ask("put_settings", text="{}")

    found = state.read(known.place, known.key).files

    assert {"stack.json", "tls/ca.key", "tls/main/server.key", "stack-settings.json"} <= set(found)
    assert not [path for path in found if path.endswith("lock")]


def test_what_many_write_at_once_is_all_kept(known: Ground) -> None:
    def keep(number: int) -> str:
        return str(known.ask("ensure_password", server="many", role=f"role{number}"))

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(keep, range(16)))

    assert [known.ask("password", server="many", role=f"role{number}") for number in range(16)] == made
    assert len(set(made)) == 16


def test_an_operation_that_others_overtook_runs_again(known: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    overtaken = threading.Event()

    def overtake(key: str) -> str:
        if not overtaken.is_set():
            overtaken.set()
            known.ask("ensure_password", server="raced", role="other", chosen="theirs")
        return operations.ensure_password(key, "raced", "own", "mine")

    monkeypatch.setitem(operations._OPERATIONS, "overtake", overtake)

    assert known.ask("overtake") == "mine"
    assert [known.ask("password", server="raced", role=role) for role in ("own", "other")] == ["mine", "theirs"]


def test_another_stacks_state_is_refused(known: Ground) -> None:
    for operation in ("register", "records"):
        with pytest.raises(OwnershipError, match=rf"belongs to stack {known.key}, not to stack other-dev"):
            state.ask(
                known.place, "other-dev", operation, **({"environment": "dev"} if operation == "register" else {})
            )


def test_an_owners_error_names_the_secret_and_no_directory(known: Ground) -> None:
    with pytest.raises(
        OwnershipError, match=r"^the Secret keelson-state in namespace \S+ of the cluster .* belongs to"
    ):
        known.ask("record_server", stack_id="another", record={"name": "main", "port": 1})


def test_a_state_that_is_too_large_is_refused_and_the_old_one_stays(known: Ground) -> None:
    before = state.read(known.place, known.key)
    with pytest.raises(PlatformError, match=r"has 1,\d+,\d+ bytes, and a Secret holds 1,048,576; split the stack"):
        known.ask("put_settings", text="x" * 1_050_000)
    assert state.read(known.place, known.key) == before


def test_nothing_is_left_on_this_machine_also_of_what_fails(known: Ground, runtime: Path) -> None:
    seen: list[Path] = []

    def fail(key: str) -> None:
        seen.append(Registry(key).directory)
        assert paths.state().stat().st_mode & 0o777 == 0o700
        assert json.loads((Registry(key).directory / "secrets.json").read_text())
        msg = "as it should"
        raise ZeroDivisionError(msg)

    known.ask("ensure_password", server="main", role="x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(operations._OPERATIONS, "fail", fail)
        with pytest.raises(ZeroDivisionError):
            known.ask("fail")

    assert seen[0].is_relative_to(runtime)
    assert list(runtime.iterdir()) == []
    assert not paths.state().is_relative_to(runtime)


def test_what_a_killed_process_left_is_removed_by_the_next_one(
    known: Ground, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "PATIENCE", -1)
    code = f"""
import os
from keelson.inside import operations
from keelson.kubernetes import state
operations._OPERATIONS["die"] = lambda key: os.kill(os.getpid(), 9)
state.ask({known.place!r}, {known.key!r}, "die")
"""
    subprocess.run([sys.executable, "-c", code], check=False, env=os.environ.copy())
    assert list(runtime.glob("*/stacks/*/stack.json"))

    known.ask("records")

    assert list(runtime.iterdir()) == []


def test_a_state_that_nobody_can_read_is_told_without_its_text(place: Ground) -> None:
    found = place.cluster.at("secrets", names.STATE)
    kept = secret(place)["data"]
    for text, said in (("{secret", "holds no state that can be read"), ('{"../out": "secret"}', "lies outside of it")):
        place.cluster.patch(found, {"data": {state.KEY: base64.b64encode(text.encode()).decode()}})
        with pytest.raises(PlatformError, match=said) as fault:
            place.ask("records")
        assert "{secret" not in str(fault.value)
    place.cluster.patch(found, {"data": kept})
    assert place.ask("records")
