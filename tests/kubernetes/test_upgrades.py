"""What becomes of a server's data before another image takes them over, where no backup can be made: on pods that fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict

import pytest

from keelson.agent.jobs import Job, backup_of
from keelson.endpoint import Reference
from keelson.errors import BackupError
from keelson.kubernetes import names, part, toolbox, troubles
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.upgrades import back_up_before
from tests.kubernetes.ground import Ground, await_until
from tests.stack.harness import CHECKOUT

pytestmark = pytest.mark.kubernetes

FAILS = ("sh", "-c", "echo 'FATAL:  could not open file \"global/pg_control\"'; echo 'LOG:  it is shut down'; exit 1")
KEEP = """
import sys
from datetime import UTC, datetime, timedelta
from keelson.backups.store import Store
from tests.inside.state import keep_backup
keep_backup(Store(sys.argv[1]), sys.argv[2], datetime.now(UTC) - timedelta(hours=3))
"""


@pytest.fixture(scope="module")
def known(toolbox: Ground) -> Ground:
    """A stack with a server of two databases that are backed up."""
    for name in ("auth", "notes"):
        reference = Reference(stack=toolbox.key, target=toolbox.place, server="main", database=name)
        toolbox.ask("put_job", job=asdict(Job(backup_of(name), "backup", reference, "0 2 * * *", registered=1.0)))
    return toolbox


@contextmanager
def server(known: Ground, image: str, *command: str) -> Iterator[KubernetesSpec]:
    """A server's pod that is not as it should be."""
    spec = KubernetesSpec(known.place, known.key, "0" * 12, "main", "server", "postgres:17.11", 999, 999)
    if command:
        known.make_pod("main-0", image, names.labels(known.key, "main"), command)
    try:
        yield spec
    finally:
        known.cluster.delete(known.cluster.at("pods", "main-0"), gracePeriodSeconds=0)
        await_until(lambda: known.cluster.get(known.cluster.at("pods", "main-0")) is None)


def crash(spec: KubernetesSpec) -> str:
    found = troubles.of_crashes(spec.found, spec.name, part.pod_of(spec))
    return found.said if found else ""


def keep_backup(known: Ground, name: str) -> None:
    """Put a good backup, three hours old, beside others."""
    command = ["python3", "-c", KEEP, known.key, name]
    with closing(toolbox.stream(known.place, known.key, command, environment={"PYTHONPATH": str(CHECKOUT)})) as stream:
        stream.end_input()
        assert (b"".join(iter(stream.read, b"")), stream.status()) == (b"", 0), stream.said


def test_data_without_a_backup_are_not_handed_on_while_their_server_ends_again_and_again(
    known: Ground, bare: str
) -> None:
    with server(known, bare, *FAILS) as spec:
        await_until(lambda: 'logged: FATAL: could not open file "global/pg_control"' in crash(spec))
        keep_backup(known, "auth")
        await_until(
            lambda: "CrashLoopBackOff" in str(part.pod_of(spec))
        )  # for ten seconds: without a probe it is ready when it runs
        with pytest.raises(BackupError) as fault:
            back_up_before(spec)
        said = str(fault.value)
        assert said.startswith("server main keeps its image: it ended with status 1, ")
        assert 'logged: FATAL: could not open file "global/pg_control", and there is no good backup of notes; ' in said
        assert f"-n {spec.found.namespace} delete statefulset main` first, which leaves its volume" in said

        keep_backup(known, "notes")
        await_until(lambda: "CrashLoopBackOff" in str(part.pod_of(spec)))
        [note] = back_up_before(spec)
        assert note.startswith("no backup was made before its image changed (it ended with status 1, ")
        assert note.count(" UTC, 3 h old") == 2


@pytest.mark.parametrize("command", [("/nowhere/postgres",), ()])
def test_an_image_without_the_program_and_a_missing_pod_are_replaced_with_a_word_about_the_last_backups(
    known: Ground, bare: str, command: tuple[str, ...]
) -> None:
    with server(known, bare, *command) as spec:
        if command:
            await_until(lambda: "nowhere" in str(troubles.of_pod(spec.found, "main", part.pod_of(spec) or {})))
        assert crash(spec) == ""
        [note] = back_up_before(spec)
        assert "the last good ones: auth " in note


def test_a_server_that_never_had_a_database_is_given_another_image_without_a_word(known: Ground) -> None:
    spec = KubernetesSpec(known.place, known.key, "0" * 12, "new", "server", "postgres:17.11", 999, 999)
    assert back_up_before(spec) == ()
