"""What a stack in a cluster survives: each fault ends in one sentence, the next `up` finishes, and no committed row is lost.

One stack serves all tests, which harm and mend it in turn.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keelson.kubernetes import names
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.faults import ApiError
from tests.kubernetes.test_cluster import known_as
from tests.stack.gate import gate
from tests.stack.harness import changed, wait_until
from tests.stack.kubernetes_stack import KubernetesStack
from tests.stack.test_backups import listed

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough, pytest.mark.timeout(600)]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
FROZEN = "changes are frozen"
LOCK = 4711
LATE = {
    "migrations/002_late.sql": f"SELECT pg_advisory_xact_lock({LOCK});\nCREATE TABLE late (id bigint PRIMARY KEY);\n",
    "migrations/002_late.down.sql": "DROP TABLE late;\n",
}
BOUNDED = 300.0  # seconds after which a fault that stays must have been told


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[KubernetesStack]:
    """A stack with one server and one service of ten rows, up."""
    made = KubernetesStack(tmp_path_factory.mktemp("faults"), kubeconfig, docker_host)
    try:
        made.write_service("notes")
        made.keelson("up")
        yield made
    finally:
        made.end()


@pytest.fixture
def rows(stack: KubernetesStack) -> Iterator[None]:
    """What was committed before the fault is there after it, and the stack is well."""
    with stack.connect("notes", "admin") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('committed')")
    before = stack.count("notes", "notes")
    yield
    wait_until(lambda: _well(stack), "the stack is well", seconds=60)
    with stack.connect("notes") as connection:  # as the application, whose password it is too
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (before,)


def _well(stack: KubernetesStack) -> bool:
    return stack.keelson("status", check=False).returncode == 0


def _said(stack: KubernetesStack, *arguments: str, **more: Any) -> str:
    """Run a command that fails in time, and return what it says."""
    began = time.monotonic()
    done = stack.keelson(*arguments, check=False, **more)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    print(f"{arguments[0]} told after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure
    assert time.monotonic() - began < BOUNDED
    return done.stderr + done.stdout


def _up(stack: KubernetesStack, *arguments: str) -> str:
    began = time.monotonic()
    said = stack.keelson("up", *arguments).stdout
    print(f"up after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure
    return said


@contextlib.contextmanager
def _there(stack: KubernetesStack, path: str, body: Json) -> Iterator[None]:
    """Have an object in the cluster that is none of the stack's."""
    found = stack.cluster
    found.create(path, body)
    try:
        yield
    finally:
        found.delete(f"{path}/{body['metadata']['name']}")


@pytest.mark.usefixtures("rows")
def test_a_plain_pulumi_up_starts_again_what_was_stopped_and_changed(stack: KubernetesStack) -> None:
    stack.keelson("stop")
    stack.write_settings(servers={"main": {"memory": "1900mb"}})

    stack.pulumi("up", "--yes", "--skip-preview")

    assert stack.item("statefulsets", "main")["spec"]["replicas"] == 1
    assert stack.pod("main")["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1900Mi"
    assert "run `keelson start`" in _said(stack, "status")  # toolbox and CronJobs are not changed, and stay
    stack.keelson("start")


@pytest.mark.usefixtures("rows")
def test_a_context_that_is_named_later_is_no_other_place(stack: KubernetesStack) -> None:
    usual = stack.settings["kubernetes"]
    context = json.loads(stack.kubeconfig.read_text())["current-context"]
    document = json.loads(stack.kubeconfig.read_text())
    nowhere = {"name": "nowhere", "cluster": document["clusters"][0]["cluster"] | {"server": "https://127.0.0.1:1"}}
    document["clusters"].append(nowhere)
    document["contexts"].append(
        {"name": "far", "context": {"cluster": "nowhere", "user": document["users"][0]["name"]}}
    )
    both = stack.home / "both"
    both.write_text(json.dumps(document))
    before = stack.uid("main")

    stack.write_settings(kubernetes=usual | {"context": "far"})
    said = _said(stack, "preview", env={"KUBECONFIG": str(both)})
    assert "place cannot change from " in said
    assert "whether both are the same cluster cannot be told: no Kubernetes API answers at https://127.0.0.1:1" in said

    stack.write_settings(kubernetes=usual | {"context": context})
    _up(stack)
    assert stack.uid("main") == before
    assert not changed(stack.keelson("preview").stdout)
    assert {each["place"] for each in _inputs(stack) if "place" in each} == {f"{stack.place}@{context}"}


def _inputs(stack: KubernetesStack) -> list[dict[str, Any]]:
    kept = (
        each
        for each in stack.export()["deployment"]["resources"]
        if "-dynamic" in each["type"] or "keelson:" in each["type"]
    )
    return [each.get("outputs", {}) for each in kept if not each["type"].endswith("KubernetesIdentity")]


@pytest.mark.usefixtures("rows")
def test_an_api_that_goes_down_in_the_middle_of_an_up_is_told_and_the_next_up_finishes(stack: KubernetesStack) -> None:
    stack.write_service("notes", LATE)
    gated = {"KUBECONFIG": str(stack.home / "gated")}
    with gate(stack.kubeconfig, stack.home / "gated") as door, stack.connect("notes", "admin") as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])

        def cut() -> None:
            with contextlib.suppress(AssertionError):
                wait_until(lambda: _waits(connection), "a migration waits", BOUNDED)
            door.shut()

        watcher = threading.Thread(target=cut)
        watcher.start()
        said = _said(stack, "up", env=gated)
        watcher.join()
        assert "002_late.sql: the connection was lost while it ran; run the command again" in said
    _up(stack)
    assert stack.count("notes", "late") == 0


def _waits(connection: psycopg.Connection) -> bool:
    query = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
    return connection.execute(query, [LOCK]).fetchone() is not None


@pytest.mark.usefixtures("rows")
def test_a_policy_that_denies_changes_is_told_and_what_it_kept_back_is_done_by_the_next_up(
    stack: KubernetesStack,
) -> None:
    stack.write_settings(servers={"main": stack.settings["servers"]["main"] | {"memory": "1800mb"}})
    with _denied(stack):
        assert f"denied request: {FROZEN}" in _said(stack, "up")
    _up(stack)
    assert stack.pod("main")["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1800Mi"


@contextlib.contextmanager
def _denied(stack: KubernetesStack) -> Iterator[None]:
    """Have a policy of the cluster that denies changes of StatefulSets in the stack's namespace."""
    about = {"metadata": {"name": f"{stack.key}-frozen"}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["statefulsets"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.spec == oldObject.spec", "message": FROZEN}],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stack.key}}}
    binding = {"policyName": about["metadata"]["name"], "validationActions": ["Deny"], "matchResources": here}
    path = stack.cluster.at("statefulsets", "main", api="apps/v1")

    def denies() -> bool:
        try:
            stack.cluster.patch(path, {"spec": {"minReadySeconds": secrets.randbelow(2)}})
        except ApiError:
            return True
        return False

    with (
        _there(stack, f"{ADMISSION}/validatingadmissionpolicies", about | {"spec": policy}),
        _there(stack, f"{ADMISSION}/validatingadmissionpolicybindings", about | {"spec": binding}),
    ):
        wait_until(denies, "the policy is in force", 30)
        yield


@pytest.mark.usefixtures("rows")
def test_a_stateful_set_that_somebody_made_anew_with_other_fixed_fields_is_replaced_and_its_data_stay(
    stack: KubernetesStack,
) -> None:
    old = stack.item("statefulsets", "main")
    about = {key: old["metadata"][key] for key in ("name", "labels", "annotations")}
    kept = {key: value for key, value in old["spec"].items() if key != "serviceName"}
    stack.delete("statefulsets", "main", propagationPolicy="Foreground")
    stack.cluster.create(
        stack.cluster.at("statefulsets", api="apps/v1"),
        {"metadata": about, "spec": kept | {"serviceName": "another", "podManagementPolicy": "OrderedReady"}},
    )

    _up(stack, "--", "--refresh", "--skip-preview")  # in which the API would refuse

    found = stack.item("statefulsets", "main")["spec"]
    assert (found["serviceName"], found["podManagementPolicy"]) == ("main", "Parallel")
    assert not changed(stack.keelson("preview").stdout)


@pytest.mark.usefixtures("rows")
def test_who_may_do_nothing_is_told_so_in_one_sentence(stack: KubernetesStack) -> None:
    found = stack.cluster
    found.create(found.at("serviceaccounts"), {"metadata": {"name": "nobody"}})
    path = f"{found.at('serviceaccounts', 'nobody')}/token"
    token = found.create(path, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    context = json.loads(stack.kubeconfig.read_text())["current-context"]  # which the settings may name by now
    nobody = {"KUBECONFIG": known_as(stack.kubeconfig, stack.home / "nobody", token, context)}
    for command in (("up",), ("psql", "notes")):
        said = _said(stack, *command, env=nobody)
        assert re.search(
            rf"system:serviceaccount:{stack.key}:nobody may not (list|get) \S+; have a Role bound", said
        ), said
        assert said.count("\n") <= 2, said


# Backups by CronJobs


@pytest.mark.long
def test_a_backup_whose_pod_is_evicted_begins_anew_and_one_backup_is_kept(stack: KubernetesStack) -> None:
    before = stack.backups_of("notes")
    with stack.connect("notes", "admin") as connection:
        connection.execute("BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")  # for which the dump waits
        job = _begun(stack)
        pod = _dumping(stack, job, connection)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        stack.cluster.create(f"{stack.cluster.at('pods', pod)}/eviction", eviction)
        assert _dumping(stack, job, connection, besides=pod)
        connection.execute("COMMIT")
    wait_until(lambda: _ended(stack, job) == "Complete", "the other pod has made the backup", 60)
    [made] = [each for each in stack.backups_of("notes") if each not in before]
    assert listed(stack, "notes")[0]["id"] == made
    assert _well(stack)


def test_a_backup_that_fails_again_and_again_is_a_fault_until_one_is_made(stack: KubernetesStack) -> None:
    before = stack.backups_of("notes")
    _let_in(stack, allowed="false")
    try:
        job = _begun(stack)
        wait_until(lambda: _ended(stack, job) == "Failed", "its attempts are used up", BOUNDED)
    finally:
        _let_in(stack, allowed="true")
    assert "the last backup of notes failed: " in _said(stack, "status")
    assert stack.backups_of("notes") == before, "nothing half made is kept"
    stack.run_job("notes-backup")
    assert _well(stack)


def _let_in(stack: KubernetesStack, *, allowed: str) -> None:
    """Have the server let nobody into the database, or everybody again."""
    statement = f"ALTER DATABASE notes ALLOW_CONNECTIONS {allowed}"
    stack.keelson("psql", "notes", "--role", "admin", "--database", "postgres", "--", "-c", statement)


def _begun(stack: KubernetesStack) -> str:
    """Have the CronJob's work begun now, and return the Job's name."""
    found = stack.item("cronjobs", "notes-backup")
    name = f"notes-backup-{secrets.token_hex(3)}"
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "notes-backup", "uid": found["metadata"]["uid"]}
    about = {"name": name, "ownerReferences": [owner | {"controller": True}]}
    stack.cluster.create(
        stack.cluster.at("jobs", api="batch/v1"),
        {"metadata": about, "spec": found["spec"]["jobTemplate"]["spec"]},
    )
    return name


def _dumping(stack: KubernetesStack, job: str, connection: psycopg.Connection, besides: str = "") -> str:
    """Return the pod of a Job as soon as its dump waits for the table."""
    found: list[str] = []

    def waits() -> bool:
        pods = stack.items("pods", f"batch.kubernetes.io/job-name={job}")
        living = [
            each
            for each in pods
            if not each["metadata"].get("deletionTimestamp") and each["status"]["phase"] == "Running"
        ]
        found[:] = [each["metadata"]["name"] for each in living if each["metadata"]["name"] != besides]
        query = "SELECT count(*) FROM pg_locks WHERE relation = 'notes'::regclass AND NOT granted"
        return bool(found) and connection.execute(query).fetchone() == (1,)

    wait_until(
        waits, "a dump waits", BOUNDED
    )  # a pod that is evicted has its time to end, and the next one waits for that
    return found[0]


def _ended(stack: KubernetesStack, job: str) -> str:
    """Return how a Job has ended; nothing of one that has not."""
    conditions = stack.item("jobs", job).get("status", {}).get("conditions") or []
    return next(
        (each["type"] for each in conditions if each["status"] == "True" and each["type"] in {"Complete", "Failed"}), ""
    )


def test_a_destroy_waits_until_all_of_it_is_gone(stack: KubernetesStack) -> None:
    path = stack.cluster.at("statefulsets", "main", api="apps/v1")
    stack.cluster.patch(path, {"metadata": {"finalizers": ["example.org/archive"]}})

    def let_go() -> None:
        wait_until(
            lambda: "deletionTimestamp" in stack.item("statefulsets", "main")["metadata"], "it is deleted", BOUNDED
        )
        stack.cluster.patch(path, {"metadata": {"finalizers": []}})

    archive = threading.Thread(target=let_go)
    archive.start()
    stack.keelson("destroy", "--yes")
    archive.join()
    assert stack.things() == [f"persistentvolumeclaims/{names.BACKUPS}"]
