"""Drills of archives: a server is made of one, looked at, and thrown away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keelson import paths
from keelson.agent import jobs
from keelson.agent.jobs import Job
from keelson.backups.drills import evidence
from keelson.backups.drills.evidence import of_server
from keelson.backups.physical import making, scheduled_drill, state
from keelson.backups.physical.drilling import PHASES, Plan, drill
from keelson.backups.store import Store
from keelson.endpoint import Reference
from keelson.errors import BackupError
from keelson.local import archive
from tests.local.conftest import LocalStack

REFERENCE = Reference(stack="physical-dev", target="local", server="main")
LIMIT = 2**40
LEDGER = "CREATE TABLE IF NOT EXISTS public.schema_versions (version bigint); TRUNCATE public.schema_versions; INSERT INTO public.schema_versions VALUES (7)"


@pytest.fixture
def store() -> Store:
    return Store("physical-dev")


def scratch() -> list[Path]:
    return [each for each in (paths.data() / "scratch").glob("*") if each.is_dir()]


def test_an_archive_is_proven_and_what_came_of_it_is_kept(archived: LocalStack, store: Store) -> None:
    archived.execute(LEDGER)
    archived.execute("INSERT INTO t SELECT coalesce(max(n), 0) + 1 FROM t")
    making.back_up("physical-dev", "main")
    checks = {"postgres": {"none.sql": "SELECT 1 WHERE false"}}
    done = drill(REFERENCE, Plan(store, checks))
    assert not done.differences
    assert set(PHASES) <= done.seconds.keys()
    assert done.recovery_seconds >= done.seconds["restore"] > 0
    assert done.exposed_seconds is not None
    assert done.compared["migrations"] == 1
    assert done.checks == {"postgres/none.sql": 0}
    assert evidence.last(store, of_server("main")) == done
    found = state.look(REFERENCE, LIMIT)
    assert (found.drilled, found.proven, found.fault) == (done.begun, True, "")
    assert not scratch()


def test_what_a_drill_finds_is_said_by_status_and_fails_its_job(archived: LocalStack, store: Store) -> None:
    archived.execute(LEDGER)
    making.back_up("physical-dev", "main")
    databases = {"postgres": {"all.sql": "SELECT version FROM schema_versions"}, "gone": {}}
    job = Job("drill-server-main", jobs.ARCHIVE_DRILL, REFERENCE, "0 4 * * 0", settings={"databases": databases})
    with pytest.raises(
        BackupError, match="the drill of the archive of main found 2 faults: the database gone is missing"
    ):
        scheduled_drill.run(job)
    done = evidence.last(store, of_server("main"))
    assert done is not None
    assert done.differences[1] == "postgres: the check all.sql finds 1 row in the restored database"
    assert "the last drill of the archive of main found 2 differences" in state.look(REFERENCE, LIMIT).fault
    assert drill(REFERENCE, Plan(store)).well
    assert not state.look(REFERENCE, LIMIT).fault


def test_a_damaged_archive_fails_its_drill_and_leaves_nothing(archived: LocalStack, store: Store) -> None:
    assert archived.key == "physical-dev"
    made = making.back_up("physical-dev", "main", full=True)
    place, _ = archive.find("physical-dev", "main")
    [bundle] = (place.repository / "backup" / "main" / made.label / "bundle").glob("1")
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[: len(whole) // 2])
    try:
        done = drill(REFERENCE, Plan(store))
    finally:
        bundle.write_bytes(whole)
    assert "or its files are damaged" in done.differences[0]
    assert not scratch()
    assert drill(REFERENCE, Plan(store)).well


def test_a_drill_that_was_due_and_is_not_there_is_told(archived: LocalStack, store: Store) -> None:
    assert drill(REFERENCE, Plan(store)).well
    long_ago = datetime.now(UTC) - timedelta(days=30)
    [newest, *others] = sorted((store.directory / of_server("main") / "drills").glob("*.json"), reverse=True)
    for other in others:
        other.unlink()
    old = evidence.read(newest).values() | {"begun": long_ago.isoformat()}
    newest.unlink()
    evidence.keep(store, evidence.from_values(old))
    job = Job("drill-server-main", jobs.ARCHIVE_DRILL, REFERENCE, "0 4 * * 0", registered=long_ago.timestamp())
    jobs.put(archived.key, job)
    try:
        assert "run `keelson backup drill --server main`" in state.look(REFERENCE, LIMIT).fault
    finally:
        jobs.drop(archived.key, job.name)
