"""The commands about backups on a stack that is down: what needs no server works all the same."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyrage import x25519
from typer.testing import CliRunner

from keelson import paths
from keelson.agent import history
from keelson.agent.history import Run
from keelson.backups import manifest as manifests
from keelson.backups import terms
from keelson.backups.folder import Folder
from keelson.backups.manifest import Manifest
from keelson.backups.store import Store
from keelson.backups.terms import SECRET as SECRETS
from keelson.backups.terms import Terms
from keelson.cli.application import application
from keelson.errors import KeelsonError
from keelson.local import registry
from keelson.local.registry import Registry
from tests.stack.harness import StackUnderTest
from tests.storage import SECRET, running


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> StackUnderTest:
    """A stack that was never brought up, with two services and a Redis."""
    made = StackUnderTest(tmp_path_factory.mktemp("down"), settings={"redis": {"redis": {}}})
    made.write_service("notes")
    made.write_service("other")
    return made


@pytest.fixture
def folder(down: StackUnderTest) -> Path:
    path = down.home / "data/keelson/backups"
    shutil.rmtree(path, ignore_errors=True)
    return path


def put(folder: Path, name: str, begun: datetime) -> str:
    store = Store("keelson-dev", folder)
    with store.writing(name) as parent:
        path = parent / store.new_id(name, begun)
        path.mkdir(mode=0o700)
        written = Folder(path)
        with written.create("data.dump") as file:
            file.write(b"rows")
        manifests.write(
            path,
            Manifest(path.name, store.key, name, "postgres", "manual", begun, begun, written.files, {"public.t": 1}),
        )
    return path.name


def test_every_command_has_an_example_and_wrong_use_ends_with_two() -> None:
    for command in (
        ["backup", "run"],
        ["backup", "list"],
        ["backup", "verify"],
        ["backup", "prune"],
        ["backup", "pin"],
        ["backup", "unpin"],
        ["backup", "export"],
        ["backup", "key"],
        ["restore"],
    ):
        assert "Example: keelson " in CliRunner().invoke(application, [*command, "--help"]).stdout
    for wrong in (
        ["backup", "run"],
        ["backup", "run", "notes", "--all"],
        ["restore", "notes", "--into", "a", "--list"],
        ["restore", "notes", "--into", "a", "--swap"],
        ["restore", "notes", "--copy", "a"],
        ["restore", "notes", "--into-table", "a"],
        ["restore"],
    ):
        assert CliRunner().invoke(application, wrong).exit_code == 2, wrong


def test_no_backup_yet_says_how_to_make_one(down: StackUnderTest, folder: Path) -> None:
    assert f"no backup yet under {folder}/keelson-dev" in down.keelson("backup", "list").stdout
    assert json.loads(down.keelson("backup", "list", "--json").stdout) == []


def test_the_list_shows_good_and_damaged_ones_of_removed_services_too(down: StackUnderTest, folder: Path) -> None:
    good, damaged = (put(folder, name, datetime(2026, 11, 20, tzinfo=UTC)) for name in ("notes", "gone"))
    (folder / "keelson-dev/gone" / damaged / "manifest.json").write_text("{}")
    entries = {entry["database"]: entry for entry in json.loads(down.keelson("backup", "list", "--json").stdout)}
    assert entries["notes"]["id"] == good
    assert (entries["notes"]["rows"], entries["notes"]["fault"], entries["notes"]["reason"]) == (1, "", "manual")
    assert entries["notes"]["verified"]
    assert "cannot be understood" in entries["gone"]["fault"]
    printed = down.keelson("backup", "list").stdout
    assert "DAMAGED" in printed
    assert "\x1b" not in printed
    assert "gone" not in down.keelson("backup", "list", "notes").stdout


def test_the_list_tells_signed_from_unsigned_and_the_stacks_key_is_printed_for_a_safe_place(
    down: StackUnderTest, folder: Path
) -> None:
    put(folder, "notes", datetime.now(UTC))
    assert "not signed: made before the stack had a key" in down.keelson("backup", "list").stdout
    told = down.keelson("backup", "key", check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert "stack dev has no key for its backups yet; `keelson up` makes it" in told.stderr
    state = down.home / "state/keelson/stacks/keelson-dev"
    state.mkdir(parents=True)
    identity = x25519.Identity.generate()
    (state / "backup-keys.json").write_text(json.dumps({"identity": str(identity), "signing": "00" * 32}))
    try:
        printed = down.keelson("backup", "key").stdout.splitlines()
    finally:
        shutil.rmtree(state)
    assert printed == ["# the backups of keelson-dev", f"# public key: {identity.to_public()}", str(identity)]


def test_a_key_that_cannot_be_read_is_told_before_anything_is_done(down: StackUnderTest, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key\n")
    for command in (["verify"], ["drill", "notes"]):
        done = down.keelson("backup", *command, "--identity", str(tmp_path / "key"), check=False)
        assert done.returncode == 1
        assert "holds no identity of age that can be read" in done.stderr


def test_a_pinned_one_is_shown_and_stays(down: StackUnderTest, folder: Path) -> None:
    now = datetime.now(UTC)
    made = [put(folder, "notes", now - timedelta(days=days)) for days in (50, 40, 3, 2, 1)]
    told = down.keelson("backup", "pin", "notes", made[0], "--reason", "before the merger").stdout
    assert told == f"notes: {made[0]} stays until `keelson backup unpin notes {made[0]}`\n"
    entries = {entry["id"]: entry for entry in json.loads(down.keelson("backup", "list", "--json").stdout)}
    assert (entries[made[0]]["pinned"], entries[made[1]]["pinned"]) == ("before the merger", "")
    assert "pinned" in down.keelson("backup", "list").stdout
    assert down.keelson("backup", "prune").stdout == f"notes: {made[1]} removed\n"
    down.keelson("backup", "unpin", "notes", made[0])
    assert down.keelson("backup", "prune").stdout == f"notes: {made[0]} removed\n"
    done = down.keelson("backup", "pin", "notes", "20200101T000000Z", check=False)
    assert (done.returncode, "there is no backup 20200101T000000Z of notes" in done.stderr) == (1, True)


def test_an_export_writes_what_was_backed_up(down: StackUnderTest, folder: Path, tmp_path: Path) -> None:
    put(folder, "notes", datetime.now(UTC))
    assert down.keelson("backup", "export", "notes", "-").stdout == "rows"
    down.keelson("backup", "export", "notes", str(tmp_path / "notes.dump"))
    assert (tmp_path / "notes.dump").read_text() == "rows"
    done = down.keelson("backup", "export", "notes", str(tmp_path / "notes.dump"), check=False)
    assert (done.returncode, "an export overwrites nothing" in done.stderr) == (1, True)


def test_pruning_says_what_goes_before_it_goes(down: StackUnderTest, folder: Path) -> None:
    now = datetime.now(UTC)
    made = [put(folder, "notes", now - timedelta(days=days)) for days in (50, 40, 3, 2, 1)]
    told = down.keelson("backup", "prune", "--dry-run").stdout.splitlines()
    assert told == [f"notes: {identity} would be removed" for identity in (made[1], made[0])]
    assert len(Store("keelson-dev", folder).all("notes")) == 5
    assert len(down.keelson("backup", "prune").stdout.splitlines()) == 2
    assert [backup.id for backup in Store("keelson-dev", folder).all("notes")] == made[:1:-1]


def test_the_history_has_runs_of_the_agent_and_what_was_made_by_hand(
    down: StackUnderTest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", down.environment["XDG_STATE_HOME"])
    made = datetime(2026, 11, 20, tzinfo=UTC)
    put(folder, "notes", made)
    assert [entry["by"] for entry in json.loads(down.keelson("backup", "history", "--json").stdout)] == ["manual"]
    moment = made.timestamp()
    history.keep("keelson-dev", Run("backup-notes", "backup", moment, moment - 1, moment + 9, 10.0))
    history.keep(
        "keelson-dev", Run("backup-other", "backup", moment, moment, moment + 9, 9.0, "the disk is full; make room")
    )
    done = down.keelson("backup", "history", "--json", check=False)
    found = [(entry["service"], entry["by"], entry["seconds"], entry["error"]) for entry in json.loads(done.stdout)]
    assert found == [("notes", "agent", 10.0, ""), ("other", "agent", 9.0, "the disk is full; make room")]
    assert done.returncode == 1
    assert "make room" in down.keelson("backup", "history", "other", check=False).stdout
    assert down.keelson("backup", "history", "notes").returncode == 0
    assert "nothing is known of nope" in down.keelson("backup", "history", "nope", check=False).stderr


def test_one_that_fails_does_not_keep_the_others_from_being_tried(down: StackUnderTest, folder: Path) -> None:
    put(folder, "notes", datetime.now(UTC))
    done = down.keelson("backup", "verify", "other", "notes", check=False)
    assert done.returncode == 1
    assert "error: other: there is no good backup of other" in done.stderr
    assert "error: notes: " in done.stderr  # what was put there is no dump
    assert done.stderr.count("\n") == 2
    done = down.keelson("backup", "run", "notes", "nope", check=False)
    assert done.returncode == 1
    assert "stack dev has nothing 'nope' to back up; it has notes, other, redis" in done.stderr
    done = down.keelson("backup", "run", "--all", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 3)
    assert "run `keelson up`" in done.stderr


def test_what_cannot_be_restored_is_one_sentence(
    down: StackUnderTest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not folder.exists()
    monkeypatch.chdir(down.root)
    for variable in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(variable, down.environment[variable])
    for arguments, said in (
        (["notes", "--into", "other"], "'other' is a part of stack dev itself"),
        (["notes", "--into", "redis"], "'redis' is a part of stack dev itself"),
        (["redis", "--into", "copy"], "'copy' is no Redis of stack dev"),
        (["nope", "--into", "copy"], "stack dev has nothing 'nope'"),
        (["notes", "--into", "copy"], "there is no good backup of notes"),
        (["notes", "--into", "copy", "--backup", "x"], "there is no backup x of notes"),
        (["notes", "--into", "copy", str(down.home)], "is no backup: it has no manifest.json"),
        (["redis", "--list"], "has no service 'redis'"),
    ):
        refused = CliRunner().invoke(application, ["restore", *arguments, "--stack", "dev"]).exception
        assert isinstance(refused, KeelsonError), refused
        assert said in str(refused)
        assert "\n" not in str(refused)


def test_doctor_says_what_is_missing_and_that_one_disk_is_none(down: StackUnderTest, folder: Path) -> None:
    put(folder, "notes", datetime.now(UTC))
    done = down.keelson("doctor", "--json", check=False)
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert findings["backup disk"]["level"] == "warning"
    assert "set keelson:backup.directory to another disk" in findings["backup disk"]["detail"]
    assert findings["backup notes"]["level"] == "ok"
    assert findings["backup other"]["level"] == "warning"
    assert (
        "the stack is younger than its schedule; run `keelson backup run other`" in findings["backup other"]["detail"]
    )


def test_the_commands_work_with_backups_in_a_bucket(
    down: StackUnderTest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, now = "keelson-dev", datetime.now(UTC)
    monkeypatch.setenv("XDG_STATE_HOME", down.environment["XDG_STATE_HOME"])
    paths.private_directory(registry.directory(key))
    with running(tmp_path / "data", tmp_path / "notes") as server:
        down.write_settings(backup={"bucket": server.settings, "recipients": []})
        try:
            said = down.keelson("backup", "list", check=False).stderr
            assert "does not know the secret of the key a-key of the bucket" in said
            Registry(key).set_password(SECRETS, server.bucket.access_key, SECRET)
            assert "no backup yet under the bucket backups-of-tests" in down.keelson("backup", "list").stdout
            made = [
                put_away(Store(key, folder, Terms((), server.bucket)), now - timedelta(days=days))
                for days in (50, 40, 2, 1, 0)
            ]
            assert [entry["id"] for entry in json.loads(down.keelson("backup", "list", "--json").stdout)] == made[::-1]
            down.keelson("backup", "pin", "notes", made[0])
            assert down.keelson("backup", "prune", "--dry-run").stdout == f"notes: {made[1]} would be removed\n"
            assert down.keelson("backup", "prune").stdout == f"notes: {made[1]} removed\n"
            assert down.keelson("backup", "export", "notes", "-").stdout == "rows"
            terms.keep(key, Terms((), server.bucket))  # as an update does
            checks = json.loads(down.keelson("doctor", "--json", check=False).stdout)
            assert {each["check"]: each["level"] for each in checks}["backup disk"] == "ok"
            assert SECRET not in "".join(path.read_text() for path in down.root.rglob("*.yaml"))
        finally:
            down.write_settings(backup={})
            shutil.rmtree(registry.directory(key))


def put_away(store: Store, begun: datetime) -> str:
    """Put a backup where the store says, as `making` would."""
    with store.writing("notes"):
        identity = store.new_id("notes", begun)
        with store.new("notes", identity) as place:
            written = Folder(place)
            with written.create("data.dump") as file:
                file.write(b"rows")
            manifests.write(
                place,
                Manifest(
                    identity, store.key, "notes", "postgres", "manual", begun, begun, written.files, {"public.t": 1}
                ),
            )
    return identity
