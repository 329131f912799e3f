"""Every provider in the real provider process, spoken to over gRPC, on a real server; no engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from keelson import migrations
from keelson.backups.store import Store
from keelson.endpoint import Reference, resolve
from keelson.local import client, processes
from keelson.migrations import seeds
from keelson.postgres.catalog import has_database
from providers.access import AccessProvider
from providers.archive_job import ArchiveJobProvider
from providers.base import Provider
from providers.data_directory import DataDirectoryProvider
from providers.database import DatabaseProvider
from providers.identity import IdentityProvider
from providers.local_server import LocalServerProvider
from providers.policies import PoliciesProvider
from providers.roles import RolesProvider
from providers.schema import SchemaProvider
from providers.seeds import SeedsProvider
from tests.providers.process import ProviderProcess
from tests.stack.harness import NOTES, wait_until

KEY = "conformance-dev"
REFERENCE = Reference(stack=KEY, target="local", server="main")
MIGRATOR = REFERENCE.to(database="notes", role="notes_migrator")
Made = list[tuple[Provider, str, dict[str, Any]]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder with one service, and a home of its own; what runs there is ended."""
    for name in ("STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    folder = tmp_path / "project"
    for name, text in NOTES.items():
        path = folder / "sql/notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "sql/notes/timescale.yaml").write_text("hypertables: {}\n")
    yield folder
    processes.end_all(KEY)


@pytest.fixture
def provider(project: Path) -> Iterator[ProviderProcess]:
    with ProviderProcess(project, dict(os.environ)) as process:
        yield process


def _steps(project: Path) -> list[tuple[Provider, dict[str, Any]]]:
    common = {"key": KEY, "server": "main", "version": "17"}
    service = {"service": "notes"}
    folder = project / "sql/notes"
    schema = {file.name: file.sha256 for file in migrations.read_directory(folder / "migrations")}
    loaded = {file.name: file.sha256 for file in seeds.read_seeds(folder / "seeds", ["dev"])}
    admin, migrator = {"reference": REFERENCE.as_input()}, {"reference": MIGRATOR.as_input()}
    archiving = {"directory": "", "keep_full": 2, "waiting": 2**32}
    server = {"timescaledb": True, "port": 0, "preferred_port": 15432, "parameters": {}, "archiving": archiving}
    archive = {"reference": REFERENCE.as_input(), "schedule": "0 1 * * *", "time_zone": "UTC", "full_every": 7}
    return [
        (IdentityProvider(), {"key": KEY, "environment": "dev"}),
        (DataDirectoryProvider(), common | {"path": ""}),
        (LocalServerProvider(), common | server),
        (ArchiveJobProvider(), archive | archiving),
        (RolesProvider(), admin | service | {"logins": {}, "passwords": {}}),
        (DatabaseProvider(), admin | {"name": "notes", "extensions": ["timescaledb"]}),
        (SchemaProvider(), migrator | service | {"directory": "sql/notes/migrations", "files": schema}),
        (SeedsProvider(), migrator | service | {"directory": "sql/notes/seeds", "folders": ["dev"], "files": loaded}),
        (PoliciesProvider(), migrator | service | {"definition": "sql/notes/timescale.yaml", "sha256": "0"}),
        (AccessProvider(), admin | service | {"logins": {}, "schema": "1"}),
    ]


def _make_all(provider: ProviderProcess, project: Path) -> Made:
    made: Made = []
    known: dict[str, Any] = {}
    for kind, given in _steps(project):
        inputs, failures = provider.check(kind, {}, given | known)
        assert not failures
        identity, state = provider.create(kind, inputs)
        known |= {"stack_id": state["stack_id"]} if "stack_id" in state else {}
        known |= {"data": state["location"]} if "location" in state else {}
        made.append((kind, identity, state))
    return made


def _inputs(project: Path, made: Made, kind: type[Provider]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The id, the state, and the inputs of now of one resource."""
    identity, state = next((identity, state) for found, identity, state in made if isinstance(found, kind))
    given = next(given for found, given in _steps(project) if isinstance(found, kind))
    return identity, state, {key: state[key] for key in ("stack_id", "data") if key in state} | given


def test_all_verbs_of_all_providers(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    with resolve(MIGRATOR.to(role="notes_app_a")).connect() as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (10,)
    for kind, _, _ in made:
        identity, state, given = _inputs(project, made, type(kind))
        checked, failures = provider.check(kind, state, given)
        assert not failures
        assert not provider.diff(kind, identity, state, checked), kind
        assert provider.read(kind, identity, state)[0] == identity, kind
    for kind, identity, state in reversed(made):
        provider.delete(kind, identity, state)
    assert not processes.of_stack(KEY)


def test_every_create_recognises_what_an_interrupted_run_made(provider: ProviderProcess, project: Path) -> None:
    first = [(identity, state) for _, identity, state in _make_all(provider, project)]
    assert [(identity, state) for _, identity, state in _make_all(provider, project)] == first
    with resolve(MIGRATOR.to(role="notes_app_a")).connect() as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (10,)


def test_a_schema_follows_its_files_by_an_update(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    folder = project / "sql/notes/migrations"
    (folder / "002_tags.sql").write_text("CREATE TABLE tags (name text);\n")
    (folder / "002_tags.down.sql").write_text("DROP TABLE tags;\n")
    identity, state, given = _inputs(project, made, SchemaProvider)
    checked, failures = provider.check(SchemaProvider(), state, given)
    assert not failures
    assert checked["pending"] == "002_tags.sql"
    assert checked["plan"]["002_tags.sql"] == "creates table tags"
    assert provider.diff(SchemaProvider(), identity, state, checked)
    after = provider.update(SchemaProvider(), identity, state, checked)
    assert (after["version"], after["pending"], set(after["ledger"])) == ("2", "", {"001_notes.sql", "002_tags.sql"})
    assert not provider.diff(SchemaProvider(), identity, after, checked)


def test_a_file_that_changed_since_the_plan_is_refused(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    folder = project / "sql/notes/migrations"
    (folder / "002_tags.sql").write_text("CREATE TABLE tags (name text);\n")
    identity, state, given = _inputs(project, made, SchemaProvider)
    checked, _ = provider.check(SchemaProvider(), state, given)
    (folder / "002_tags.sql").write_text("DROP TABLE notes;\n")
    with pytest.raises(grpc.RpcError, match=r"002_tags\.sql changed since the plan was made"):
        provider.update(SchemaProvider(), identity, state, checked)
    with resolve(MIGRATOR).connect() as connection:
        assert set(migrations.read_ledger(connection)) == {"001_notes.sql"}


def test_what_is_gone_reads_as_gone_and_what_cannot_be_reached_as_it_was(
    provider: ProviderProcess, project: Path
) -> None:
    made = _make_all(provider, project)
    identity, state, _ = _inputs(project, made, DatabaseProvider)
    with resolve(REFERENCE).connect() as admin:
        admin.execute("DROP DATABASE notes WITH (FORCE)")
    assert provider.read(DatabaseProvider(), identity, state) == ("", {})
    processes.end_all(KEY)
    found, kept = provider.read(DatabaseProvider(), identity, state)
    assert (found, kept["name"], kept["stack_id"]) == (identity, state["name"], state["stack_id"])


def test_a_refresh_notes_what_was_changed_by_hand_and_an_update_says_it_until_it_is_put_back(
    provider: ProviderProcess, project: Path
) -> None:
    made = _make_all(provider, project)
    identity, state, given = _inputs(project, made, AccessProvider)
    admin, access = REFERENCE.to(database="notes"), AccessProvider()
    assert len(str(state["catalog"])) < 500
    assert provider.read(access, identity, state)[1] == state
    with resolve(admin).connect() as connection:
        connection.execute("ALTER TABLE notes ADD phone text; GRANT ALL ON notes TO PUBLIC")
        connection.execute("REVOKE CONNECT ON DATABASE notes FROM notes_app")
    found = provider.read(access, identity, state)[1]
    assert found["drift"] == "grants, tables"
    assert provider.diff(access, identity, found, given)
    updated = provider.update(access, identity, found, given)
    assert updated["drift"] == "grants, tables"
    resolve(MIGRATOR.to(role="notes_app_a")).connect().close()  # that right is given again
    with resolve(admin).connect() as connection:
        connection.execute("ALTER TABLE notes DROP phone; REVOKE ALL ON notes FROM PUBLIC")
    updated = provider.update(access, identity, updated, given)
    assert updated["drift"] == ""
    assert not provider.diff(access, identity, updated, given)


def test_a_change_that_was_asked_for_is_what_a_refresh_compares_with(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    identity, state, given = _inputs(project, made, AccessProvider)
    with resolve(REFERENCE.to(database="notes")).connect() as connection:
        connection.execute("ALTER TABLE notes ADD phone text")
    updated = provider.update(AccessProvider(), identity, state, given | {"schema": "2"})
    assert updated["drift"] == ""
    assert updated["catalog"] != state["catalog"]
    assert provider.read(AccessProvider(), identity, updated)[1] == updated


def test_a_stack_of_before_is_looked_at_from_its_next_update_on(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    identity, state, given = _inputs(project, made, AccessProvider)
    old = {key: value for key, value in state.items() if key not in {"catalog", "drift", "schema"}}
    assert provider.read(AccessProvider(), identity, old)[1] == old
    assert provider.diff(AccessProvider(), identity, old, given)
    updated = provider.update(AccessProvider(), identity, old, given)
    assert updated["catalog"] == state["catalog"]
    foreign = updated | {"catalog": updated["catalog"] | {"form": "of another release/17"}}
    assert provider.read(AccessProvider(), identity, foreign)[1] == foreign
    assert provider.diff(AccessProvider(), identity, foreign, given)
    assert provider.update(AccessProvider(), identity, foreign, given)["catalog"] == state["catalog"]


def test_after_an_upgrade_of_the_server_a_refresh_begins_anew(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    identity, state, given = _inputs(project, made, AccessProvider)
    questions, major, rest = state["catalog"]["form"].split("/", 2)
    old = state | {"catalog": {"form": f"{questions}/{int(major) - 1}/{rest}", "tables": "0"}}
    assert provider.read(AccessProvider(), identity, old)[1] == state
    assert not provider.diff(AccessProvider(), identity, old, given)


def test_roles_that_were_altered_are_noted_and_put_back(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    identity, state, given = _inputs(project, made, RolesProvider)
    assert provider.read(RolesProvider(), identity, state)[1] == state
    with resolve(REFERENCE).connect() as connection:
        connection.execute("ALTER ROLE notes_app_a SUPERUSER; ALTER ROLE notes_readonly LOGIN")
        connection.execute("GRANT notes_owner TO notes_readonly_b; REVOKE notes_app FROM notes_app_b")
    found = provider.read(RolesProvider(), identity, state)[1]
    assert found["altered"] == "notes_app_a, notes_app_b, notes_readonly, notes_readonly_b"
    assert provider.diff(RolesProvider(), identity, found, given)
    updated = provider.update(RolesProvider(), identity, found, given)
    assert not provider.diff(RolesProvider(), identity, updated, given)
    assert provider.read(RolesProvider(), identity, updated)[1] == updated


def test_no_row_that_was_acknowledged_is_missing_in_the_dump_of_a_database_that_is_dropped(
    provider: ProviderProcess, project: Path
) -> None:
    made = _make_all(provider, project)
    identity, state, _ = _inputs(project, made, DatabaseProvider)
    acknowledged: list[int] = []

    def write() -> None:
        with suppress(psycopg.Error), resolve(MIGRATOR.to(role="notes_app_a")).connect() as connection:
            while True:
                connection.execute("INSERT INTO notes (body) VALUES ('acknowledged')")
                acknowledged.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: acknowledged, "the application writes")
    provider.delete(DatabaseProvider(), identity, state)
    writer.join()
    assert _rows_in_dump("acknowledged") == len(acknowledged)


def _rows_in_dump(text: str) -> int:
    [backup] = Store(KEY).all("notes")
    assert backup.manifest.reason == "before-drop"
    dump = backup.path / "data.dump"
    command = [*client.command("pg_restore"), "--data-only", "--table=notes", "--file=-", str(dump)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.count(text)


def test_a_drop_that_was_cut_off_is_finished_without_another_dump(provider: ProviderProcess, project: Path) -> None:
    made = _make_all(provider, project)
    identity, state, _ = _inputs(project, made, DatabaseProvider)
    with resolve(REFERENCE).connect() as admin:
        admin.execute("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'notes'")  # as DROP DATABASE begins
        provider.delete(DatabaseProvider(), identity, state)
        assert not has_database(admin, "notes")


def test_a_provider_ends_when_nobody_reads_its_output(project: Path) -> None:
    process = ProviderProcess(project, dict(os.environ))
    with process:
        kind, given = _steps(project)[0]
        process.check(kind, {}, given)
        assert process.process.stdout
        process.process.stdout.close()
        assert process.process.wait(10) == 1


def test_a_role_of_nobody_is_refused_by_name(provider: ProviderProcess, project: Path) -> None:
    steps = _steps(project)
    roles = next(number for number, (kind, _) in enumerate(steps) if isinstance(kind, RolesProvider))
    known: dict[str, Any] = {}
    for kind, given in steps[:roles]:
        _, state = provider.create(kind, given | known)
        known |= {key: state[name] for key, name in (("stack_id", "stack_id"), ("data", "location")) if name in state}
    with resolve(REFERENCE).connect() as admin:
        admin.execute("CREATE ROLE notes_owner")
    kind, given = steps[roles]
    with pytest.raises(grpc.RpcError, match="notes_owner"):
        provider.create(kind, given | known)


def test_pending_seeds_are_named_in_the_order_in_which_they_run(provider: ProviderProcess, project: Path) -> None:
    folder = project / "sql/notes/seeds"
    shutil.rmtree(folder)
    for name in ("dev/001_a.sql", "dev/002_b.sql", "reference/001_c.sql"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"SELECT '{name}'")
    found = seeds.read_seeds(folder, ["reference", "dev"])
    given = {
        "reference": MIGRATOR.as_input(),
        "service": "notes",
        "directory": "sql/notes/seeds",
        "folders": ["reference", "dev"],
        "files": {seed.name: seed.sha256 for seed in found},
    }
    inputs, failures = provider.check(SeedsProvider(), {}, given)
    assert not failures
    assert inputs["pending"] == "reference/001_c.sql, dev/001_a.sql, dev/002_b.sql"
    loaded_before = {seed.name: seed.text_sha256 for seed in found}  # as states of before have it
    inputs, failures = provider.check(SeedsProvider(), {**given, "files": loaded_before, "pending": ""}, given)
    assert (failures, inputs["pending"]) == ([], "")


def test_a_preview_refuses_seeds_of_another_environment(provider: ProviderProcess, project: Path) -> None:
    (project / "sql/notes/seeds/dev/001_a.sql").write_text("SELECT 1")
    files = {seed.name: seed.sha256 for seed in seeds.read_seeds(project / "sql/notes/seeds", ["dev"])}
    given = {"reference": MIGRATOR.as_input(), "service": "notes", "directory": "sql/notes/seeds", "folders": ["dev"]}
    _, failures = provider.check(SeedsProvider(), {}, given | {"files": files, "environment": "prod"})
    assert "sql/notes/seeds/dev has the rows of dev, and this is prod" in str(failures)
