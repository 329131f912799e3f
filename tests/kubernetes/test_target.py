"""The target on a real cluster: a small stack, and what befalls its pods."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keelson.agent.jobs import Job
from keelson.backups.making import MANUAL, Source
from keelson.backups.overview import Kept
from keelson.containers.model import ContainerSettings, Mount
from keelson.endpoint import resolve
from keelson.errors import SettingsError, UnreachableError
from keelson.kubernetes import names, state, troubles, workloads
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.purging import purge
from keelson.kubernetes.runs import Runs, _missed
from keelson.kubernetes.workloads import Seen
from keelson.target import Part
from tests.kubernetes.ground import await_until
from tests.kubernetes.small_stack import SmallStack, small_stack
from tests.stack.harness import CHECKOUT

pytestmark = pytest.mark.kubernetes

PROJECT = """
config:
  {project}:environment: dev
  {project}:target: kubernetes
  {project}:kubernetes: {{namespace: {project}}}
  {project}:servers: {{main: {{}}}}
  {project}:redis: {{redis: {{}}}}
  {project}:databases: [notes]
  {project}:pgadmin: {{enabled: false}}
  {project}:agent: {{enabled: false}}
"""


@pytest.fixture(scope="module")
def stack(kubeconfig: Path, docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStack]:
    with small_stack(kubeconfig, docker_host, tmp_path_factory.mktemp("stack")) as made:
        yield made


def part_of(stack: SmallStack, name: str) -> Part:
    return next(part for part in stack.target.parts(stack.key) if part.name == name)


@contextmanager
def workload(
    stack: SmallStack, name: str, *command: str, kind: str = "statefulsets", **container: Any
) -> Iterator[None]:
    """Run a part of a stack that is not as it should be."""
    template = stack.pod(name, ContainerSettings(volumes={}, networks=(), command=command), image="agent")
    template["spec"]["terminationGracePeriodSeconds"] = 0
    template["spec"]["containers"][0] |= container
    record = {"name": name, "kind": "redis", "port": 1, "host": name}
    state.ask(stack.place, stack.key, "record_daemon", stack_id=stack.stack_id, record=record)
    stack.workload(kind, name, template)
    try:
        yield
    finally:
        stack.cluster.delete(stack.cluster.at(kind, name, api="apps/v1"), propagationPolicy="Foreground")
        state.ask(stack.place, stack.key, "forget", name=name)
        await_until(lambda: name not in workloads.look(stack.cluster, stack.key))


def test_a_server_is_reached_by_a_port_of_this_machine_and_verified(stack: SmallStack) -> None:
    endpoint = resolve(stack.reference())

    with endpoint.connect() as admin:
        assert admin.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    assert (endpoint.address.host, endpoint.address.fleeting) == ("127.0.0.1", True)
    assert endpoint.connection_parameters()["sslmode"] == "verify-full"


def test_many_connect_at_once(stack: SmallStack) -> None:
    def ask(number: int) -> int:
        with resolve(stack.reference()).connect() as admin:
            row = admin.execute("SELECT %s + 1, pg_sleep(0.1)", [number]).fetchone()
            return row[0] if row else 0

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(24))) == list(range(1, 25))


def test_parts_are_told_as_they_are(stack: SmallStack) -> None:
    found = {part.name: part for part in stack.target.parts(stack.key)}

    assert {name: part.kind for name, part in found.items()} == {"main": "server", "redis": "redis"}
    assert all(part.answering and part.running and not part.port for part in found.values()), found
    assert re.fullmatch(
        r"Kubernetes v1\.34\.\d+ at https://\S+ \(context \S+, namespace \w+\)", stack.target.platform()
    )


def test_applications_in_the_cluster_reach_a_server_by_its_name(stack: SmallStack) -> None:
    found = stack.target.locate_inside(stack.key, "main")
    namespace = stack.cluster.namespace

    assert (found.host, found.port, found.encrypted) == (f"main.{namespace}.svc", 5432, True)
    with pytest.raises(UnreachableError, match=rf"has no server other in namespace {namespace} .*; run `keelson up`"):
        stack.target.locate(stack.key, "other")


def test_a_stack_that_is_nowhere_has_no_parts_and_is_not_harmed(stack: SmallStack) -> None:
    assert stack.target.start("nothing-dev") == ()
    assert stack.target.parts("nothing-dev") == ()
    assert not stack.target.is_harmed("nothing-dev", ["main"], new_port=False)


def test_a_pod_that_is_deleted_under_a_client_is_soon_reached_again(stack: SmallStack) -> None:
    endpoint = resolve(stack.reference())
    with endpoint.connect() as admin:
        stack.delete_pod("main-0")
        with pytest.raises(psycopg.OperationalError):
            admin.execute("SELECT pg_sleep(30)")
    began = time.monotonic()
    with resolve(stack.reference()).connect() as admin:
        assert admin.execute("SELECT 1").fetchone() == (1,)
    assert time.monotonic() - began < 20


def test_what_was_stopped_says_so_and_starts_again_with_its_rows(stack: SmallStack) -> None:
    with resolve(stack.reference()).connect() as admin:
        admin.execute("CREATE TABLE kept AS SELECT * FROM generate_series(1, 100) AS id")
    stack.cron_job("paused")

    stack.target.stop(stack.key)

    assert not workloads.look(stack.cluster, stack.key)["toolbox"].pods
    assert suspended(stack, "paused-backup")
    assert {part.detail for part in stack.target.parts(stack.key)} == {
        "it is stopped; run `keelson start main`",
        "it is stopped; run `keelson start redis`",
    }
    with pytest.raises(UnreachableError, match="main does not answer: it is stopped; run `keelson start main`"):
        stack.target.locate(stack.key, "main")

    assert stack.target.start(stack.key) == ()
    assert not suspended(stack, "paused-backup")
    with resolve(stack.reference()).connect() as admin:
        assert admin.execute("SELECT count(*) FROM kept").fetchone() == (100,)


def test_one_part_is_stopped_and_started_alone(stack: SmallStack) -> None:
    stack.target.stop(stack.key, ["redis"])
    assert {part.name: part.answering for part in stack.target.parts(stack.key)} == {"main": True, "redis": False}

    assert stack.target.start(stack.key, ["redis"]) == ()
    assert part_of(stack, "redis").answering
    with pytest.raises(SettingsError, match="has no part 'nothing'; it has main, redis"):
        stack.target.stop(stack.key, ["nothing"])


def test_a_pod_that_no_node_takes_says_why(stack: SmallStack) -> None:
    with workload(stack, "large", "true", resources={"requests": {"memory": "900Gi"}}):
        await_until(lambda: "no node takes its pod" in part_of(stack, "large").detail)
        found = part_of(stack, "large")
        assert (found.running, found.starting) == (False, False)
        assert "Insufficient memory" in found.detail
        with pytest.raises(UnreachableError, match=r"large does not answer: no node .* describe pod large-0"):
            stack.target.locate(stack.key, "large")
        [said] = stack.target.start(stack.key, ["large"])
        assert "give it less (`memory`, `cpus`), or the cluster more" in said


def test_an_image_that_is_nowhere_is_named(stack: SmallStack) -> None:
    with workload(stack, "wrong", "true", image="nowhere.invalid/none:1", imagePullPolicy="Never"):
        await_until(lambda: "cannot be had" in part_of(stack, "wrong").detail)
        assert "its image nowhere.invalid/none:1 cannot be had (ErrImageNeverPull:" in part_of(stack, "wrong").detail
        [said] = stack.target.start(stack.key, ["wrong"])
        assert "correct the image, or bring it to where the nodes get theirs; see `kubectl" in said


def test_a_corrected_image_reaches_the_pod_that_waits_for_the_wrong_one(stack: SmallStack) -> None:
    with workload(stack, "corrected", "sleep", "100", image="nowhere.invalid/none:1", imagePullPolicy="Never"):
        await_until(lambda: "cannot be had" in part_of(stack, "corrected").detail)
        settings = ContainerSettings(volumes={}, networks=(), command=("sleep", "100"))
        stack.workload("statefulsets", "corrected", stack.pod("corrected", settings, image="agent"))
        await_until(lambda: workloads.look(stack.cluster, stack.key)["corrected"].outdated)

        troubles.renew(stack.cluster, workloads.look(stack.cluster, stack.key)["corrected"])

        await_until(lambda: workloads.look(stack.cluster, stack.key)["corrected"].ready)


def test_a_pod_whose_secret_came_after_it_does_not_wait_for_the_kubelets_next_look(stack: SmallStack) -> None:
    settings = ContainerSettings(volumes={"config": Mount("/etc/keelson")}, networks=(), command=("sleep", "100"))
    template = stack.pod("late", settings, image="agent")
    template["spec"]["terminationGracePeriodSeconds"] = 0
    late: list[Json] = []

    def waits() -> bool:
        pod = workloads.look(stack.cluster, stack.key)["late"].pod or {"spec": {}, "status": {}}
        late[:] = [pod]
        mounts = any("secret" in each for each in pod["spec"].get("volumes", ()))
        return mounts and bool(pod["status"].get("containerStatuses"))

    with workload(stack, "late", "sleep", "100"):
        stack.workload("statefulsets", "late", template)
        await_until(waits)
        troubles.renew(stack.cluster, workloads.look(stack.cluster, stack.key)["late"])
        assert waits()
        await_until(lambda: time.time() > troubles.moment(late[0]["metadata"]["creationTimestamp"]) + 1)
        secret = {"metadata": {"name": names.config("late"), "labels": names.labels(stack.key, "late")}}
        stack.cluster.create(stack.cluster.at("secrets"), secret)

        troubles.renew(stack.cluster, workloads.look(stack.cluster, stack.key)["late"])

        await_until(lambda: workloads.look(stack.cluster, stack.key)["late"].ready)
        assert part_of(stack, "late").running
        stack.cluster.delete(stack.cluster.at("secrets", names.config("late")))


def test_a_container_that_ends_again_and_again_tells_what_it_logged(stack: SmallStack) -> None:
    script = "echo 'FATAL:  the data directory is broken'; echo 'LOG:  it is shut down'; exit 3"
    with workload(stack, "failing", "sh", "-c", script):
        await_until(lambda: "status 3" in part_of(stack, "failing").detail)
        await_until(lambda: "restarted" in part_of(stack, "failing").detail)
        found = part_of(stack, "failing")
        assert found.running
        assert "and logged: FATAL: the data directory is broken; see `keelson logs failing`" in found.detail
        with pytest.raises(UnreachableError, match="failing does not answer: it ended with status 3"):
            stack.target.locate(stack.key, "failing")

        def seen() -> Seen:
            return workloads.look(stack.cluster, stack.key)["failing"]

        def waits() -> bool:
            return "CrashLoopBackOff" in str(seen().pod)

        await_until(waits)
        before = str((seen().pod or {})["metadata"]["uid"])
        troubles.hasten(stack.cluster, seen())
        await_until(lambda: bool(seen().pod) and before not in str(seen().pod))


def test_a_container_that_wanted_too_much_memory_says_so(stack: SmallStack) -> None:
    command = ("python3", "-c", "bytearray(10**9)")
    with workload(stack, "hungry", *command, resources={"limits": {"memory": "64Mi"}}):
        said = "killed for want of memory; give it more (`memory` in the settings) and run `keelson up`"
        await_until(lambda: said in re.sub(r", it was restarted \d+ times", "", part_of(stack, "hungry").detail))


def test_the_log_is_what_the_container_wrote(stack: SmallStack, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    stack.target.show_log(stack.key, "main", 5, follow=False)
    assert 0 < len(capfdbinary.readouterr().out.splitlines()) <= 5

    stack.target.show_log(stack.key, "toolbox", 5, follow=False)
    with pytest.raises(SettingsError, match=r"has no part 'nothing'; it has .*main"):
        stack.target.show_log(stack.key, "nothing", 5, follow=False)


def test_a_log_is_followed_over_a_restart_until_ctrl_c(stack: SmallStack, tmp_path: Path) -> None:
    follow = "import sys; from keelson.target import target; target(sys.argv[1]).show_log(sys.argv[2], 'talking', 5, follow=True)"
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.1; done; exit 1"
    shown = tmp_path / "shown"
    with workload(stack, "talking", "sh", "-c", script), shown.open("wb") as output:
        await_until(lambda: workloads.look(stack.cluster, stack.key)["talking"].ready)
        process = subprocess.Popen(
            [sys.executable, "-c", follow, stack.place, stack.key],
            stdout=output,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        )
        try:
            await_until(lambda: shown.read_text().count("line 9") >= 2)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()


def test_what_was_taken_away_is_seen(stack: SmallStack) -> None:
    def harmed() -> bool:
        return stack.target.is_harmed(stack.key, ["main", "redis"], new_port=False)

    assert not harmed()
    kept = stack.cluster.get(stack.cluster.at("services", "redis"))
    assert kept
    stack.cluster.delete(stack.cluster.at("services", "redis"))
    assert harmed()
    spec = {"selector": kept["spec"]["selector"], "ports": [{"port": 6379}]}
    stack.apply("services", "v1", "redis", names.labels(stack.key, "redis"), spec)
    assert not harmed()

    name = stack.cron_job("harmed")
    assert not harmed()
    stack.cluster.delete(stack.cluster.at("cronjobs", name, api="batch/v1"))
    assert harmed()
    state.ask(stack.place, stack.key, "drop_job", name="backup-harmed")
    assert not harmed()


def test_a_backup_that_failed_says_what_its_last_line_said(stack: SmallStack) -> None:
    script = "echo 'the disk is full; make room' >&2; echo 'backup-auth: begun'; exit 1"
    name = stack.cron_job("auth", args=["sh", "-c", script])
    stack.run_now(name)

    def error() -> str:
        return stack.target.backups(stack.key, ["auth"], None).of("auth").state.error

    await_until(lambda: bool(error()))
    found = stack.target.backups(stack.key, ["auth"], None)
    known = found.of("auth").state
    assert (known.error, known.failures, known.unfinished) == ("the disk is full; make room", 1, False)
    assert 0 < known.begun <= known.ended
    assert found.directory == f"the volume backups in namespace {stack.cluster.namespace}"

    stack.cron_job("auth", args=["true"])
    stack.run_now(name)
    await_until(lambda: not error())
    known = stack.target.backups(stack.key, ["auth"], None).of("auth").state
    assert known.failures == 0
    assert known.succeeded >= known.begun > 0
    assert not [fault for fault in found.faults if "auth" in fault]


def test_what_keeps_cron_jobs_from_their_work_is_a_fault(stack: SmallStack) -> None:
    for database, schedule in {"asleep": "0 0 29 2 *", "gone": "0 0 29 2 *"}.items():
        stack.cron_job(database, schedule)
    cron_jobs = [stack.cluster.at("cronjobs", f"{each}-backup", api="batch/v1") for each in ("asleep", "gone")]
    stack.cluster.patch(cron_jobs[0], {"spec": {"suspend": True}})
    stack.cluster.delete(cron_jobs[1])
    drill = Job("drill-gone", "drill", stack.reference().to(database="gone"), "0 0 29 2 *", registered=1.0)
    state.ask(stack.place, stack.key, "put_job", job=asdict(drill))

    faults = stack.target.backups(stack.key, [], None).faults

    assert "the CronJob asleep-backup is suspended, so nothing backs up asleep; run `keelson start`" in faults
    missing = f"the CronJob that backs up gone is missing in namespace {stack.cluster.namespace}"
    assert f"{missing}; run `keelson up -- --refresh`" in faults
    assert f"{missing.replace('backs up', 'drills')}; run `keelson up -- --refresh`" in faults
    for name in ("backup-asleep", "backup-gone", "drill-gone"):
        state.ask(stack.place, stack.key, "drop_job", name=name)
    stack.cluster.delete(cron_jobs[0])


@pytest.fixture(scope="module")
def project(stack: SmallStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stack `dev` is the small stack."""
    root = tmp_path_factory.mktemp("project")
    name = stack.key.removesuffix("-dev")
    (root / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
    (root / "Pulumi.dev.yaml").write_text(PROJECT.format(project=name))
    (root / "sql" / "notes").mkdir(parents=True)
    (root / "sql" / "notes" / "database.yaml").write_text("server: main\n")
    for server, role in {"main": "notes_app_a", "redis": "notes_app"}.items():
        state.ask(stack.place, stack.key, "ensure_password", server=server, role=role)
    return root


def keelson(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "KEELSON_STACK": "dev"}
    command = [sys.executable, "-m", "keelson", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_urls_are_given_for_the_cluster_and_refused_for_this_machine(project: Path, stack: SmallStack) -> None:
    done = keelson(project, "env", "notes", "--from", "cluster", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert (values["PGHOST"], values["PGSSLMODE"]) == (f"main.{stack.cluster.namespace}.svc", "require")
    assert f"@redis.{stack.cluster.namespace}.svc:6379/" in values["REDIS_URL"]

    refused = keelson(project, "url", "notes")
    assert refused.returncode == 1
    assert "give applications in the cluster the one of --from cluster" in " ".join(refused.stderr.split())
    other = keelson(project, "url", "notes", "--from", "container")
    assert "answers from a cluster or this host, not from a container; use --from cluster" in " ".join(
        other.stderr.split()
    )


def test_backups_are_made_in_the_toolbox_and_by_the_cron_job(stack: SmallStack) -> None:
    with resolve(stack.reference()).connect() as admin:
        admin.execute("CREATE DATABASE ledger")
    source = Source("postgres", stack.reference().to(database="ledger"))

    where = stack.target.back_up(source, MANUAL, None)
    stack.run_now(stack.cron_job("ledger"))

    def known() -> Kept:
        return stack.target.backups(stack.key, [], None).of("ledger")

    assert where.endswith(f"on the volume backups in namespace {stack.cluster.namespace}")
    await_until(lambda: known().state.ended > 0)
    assert (known().state.error, known().reason, known().state.failures) == ("", "scheduled", 0)
    assert (
        known().state.begun < known().state.succeeded <= known().state.ended
    )  # a Job's condition comes after its pod's end


def hourly(scheduled: str) -> Runs:
    """A CronJob that is due at each full hour and begun last at `scheduled`."""
    about = {"name": "auth-backup", "creationTimestamp": "2026-01-01T00:00:00Z"}
    status = {"lastScheduleTime": scheduled} if scheduled else {}
    return Runs({"metadata": about, "spec": {"schedule": "0 * * * *"}, "status": status})


@pytest.mark.parametrize(
    ("scheduled", "at", "backup", "missed"),
    [
        ("2026-02-03T10:00:00Z", "10:59", "", False),
        ("2026-02-03T10:00:00Z", "11:04", "", False),  # it may begin a little late
        ("2026-02-03T10:00:00Z", "11:06", "", True),
        ("2026-02-03T10:00:00Z", "11:06", "11:02", False),  # made by hand
        ("", "11:06", "", True),
    ],
)
def test_a_run_that_was_not_begun_is_missed(scheduled: str, at: str, backup: str, *, missed: bool) -> None:
    day = "2026-02-03T{}:00+00:00"
    newest = datetime.fromisoformat(day.format(backup)) if backup else None

    due = _missed(hourly(scheduled), newest, datetime.fromisoformat(day.format(at)))

    assert (due is not None) == missed
    if due:
        assert f"{due:%H:%M}" == "11:00"


def test_psql_connects_from_here(project: Path, stack: SmallStack) -> None:
    with resolve(stack.reference()).connect() as admin:
        admin.execute("CREATE DATABASE notes")
    asked = keelson(project, "psql", "notes", "--role", "admin", "--", "-Atc", "SELECT 6 * 7")
    assert (asked.returncode, asked.stdout) == (0, "42\n"), asked.stderr


def test_doctor_and_status_tell_of_the_cluster(project: Path, stack: SmallStack) -> None:
    found = {each["check"]: each for each in json.loads(keelson(project, "doctor", "--json").stdout)}

    assert found["platform"]["detail"] == stack.target.platform()
    assert found["part main"] == {"check": "part main", "level": "ok", "detail": "answers inside the stack"}
    assert found["backup disk"]["level"] == "warning"  # all volumes of the node are directories of one disk
    shown = json.loads(keelson(project, "status", "--json").stdout)
    assert {part["name"]: part["state"] for part in shown["parts"]} == {"main": "answers", "redis": "answers"}


def test_a_purge_removes_the_namespace_that_was_made_for_the_stack(
    kubeconfig: Path, docker_host: str, tmp_path: Path
) -> None:
    with small_stack(kubeconfig, docker_host, tmp_path, ()) as other:
        gone = list(purge(other.place, other.key))

        namespace = other.cluster.namespace
        assert {"claim backups", "secret keelson-state", f"namespace {namespace}"} <= set(gone)
        assert other.cluster.get(f"/api/v1/namespaces/{namespace}") is None
        assert list(purge(other.place, other.key)) == []


def test_a_purge_leaves_a_namespace_that_others_use(kubeconfig: Path, docker_host: str, tmp_path: Path) -> None:
    with small_stack(kubeconfig, docker_host, tmp_path, ()) as other:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        path = other.cluster.at("persistentvolumeclaims")
        other.cluster.create(path, {"metadata": {"name": "theirs"}, "spec": claim})

        gone = list(purge(other.place, other.key))

        assert "secret keelson-state" in gone
        assert not [name for name in gone if name.startswith("namespace")]
        assert other.cluster.get(other.cluster.at("persistentvolumeclaims", "theirs"))


def suspended(stack: SmallStack, name: str) -> bool:
    found = stack.cluster.get(stack.cluster.at("cronjobs", name, api="batch/v1"))
    assert found
    return bool(found["spec"].get("suspend"))
