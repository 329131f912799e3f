"""What a real cluster refuses, delays or loses, as a stack's parts tell of it."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from keelson.errors import PlatformError, ServerError
from keelson.kubernetes import cluster, ground, names, part, runs, troubles, workloads
from keelson.kubernetes import target as targets
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ApiError, ForbiddenError
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.streams import ExecStream
from keelson.kubernetes.target import KubernetesTarget
from keelson.kubernetes.troubles import Trouble
from tests.kubernetes.ground import Ground, await_until
from tests.kubernetes.test_cluster import known_as

pytestmark = pytest.mark.kubernetes

APPS, BATCH = "apps/v1", "batch/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"
FINALIZER = "example.org/archive"
CONTAINER = {"name": "main", "image": "nowhere.invalid/none:1", "imagePullPolicy": "Never"}
LONG_AGO = "2026-01-01T00:00:00Z"


@pytest.fixture
def found(place: Ground) -> Cluster:
    return place.cluster


@contextmanager
def there(found: Cluster, path: str, body: Json) -> Iterator[str]:
    """Have an object, and take it away in the end; give its path."""
    found.create(path, body)
    made = f"{path}/{body['metadata']['name']}"
    try:
        yield made
    finally:
        found.delete(made)


@contextmanager
def workload(place: Ground, kind: str, part: str, **pod: Any) -> Iterator[str]:
    """Have a workload of a part of the stack, and give its path."""
    labels, found = names.labels(place.key, part), place.cluster
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [CONTAINER], "terminationGracePeriodSeconds": 0} | pod,
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    more = {"serviceName": part} if kind == "statefulsets" else {}
    body = {"metadata": {"name": part, "labels": labels}, "spec": spec | more}
    with there(found, found.at(kind, api=APPS), body) as path:
        yield path
    await_until(lambda: part not in workloads.look(found, place.key))


@contextmanager
def quota(found: Cluster, **hard: str) -> Iterator[None]:
    """Have a ResourceQuota that counts already."""
    limits = {name.replace("_", "."): value for name, value in hard.items()}
    with there(found, found.at("resourcequotas"), {"metadata": {"name": "small"}, "spec": {"hard": limits}}) as path:
        await_until(lambda: bool((found.get(path) or {"status": {}})["status"].get("hard")))
        yield


def trouble(place: Ground, part: str) -> Trouble:
    """Return why a part does not serve."""
    told = troubles.find(place.cluster, part, workloads.look(place.cluster, place.key, part).get(part))
    assert told
    return told


@pytest.fixture
def nobody(found: Cluster, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster as an account of this name asks it that has no rights."""
    found.create(found.at("serviceaccounts"), {"metadata": {"name": (name := f"nobody-{secrets.token_hex(3)}")}})
    path = f"{found.at('serviceaccounts', name)}/token"
    token = found.create(path, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    monkeypatch.setattr(cluster, "_links", {})
    monkeypatch.setenv("KUBECONFIG", known_as(kubeconfig, tmp_path / name, token))
    return cluster.connect(f"kubernetes:{found.namespace}")


def name_of(asker: Cluster) -> str:
    """Return the account's name in its namespace."""
    with pytest.raises(ForbiddenError) as fault:
        asker.items(asker.at("secrets"))
    found = re.search(r"system:serviceaccount:[^:]+:(\S+) may not list secrets", str(fault.value))
    assert found, fault.value
    return found[1]


# Who asks too much, too little, or with what is not known any more


def test_an_api_that_is_too_busy_is_asked_again_until_it_answers(
    found: Cluster, nobody: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, waits = f"{found.namespace}-none", list[str]()
    seats = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0}  # one request at a time
    level = {"type": "Limited", "limited": seats | {"limitResponse": {"type": "Reject"}}}
    subject = {"kind": "ServiceAccount", "serviceAccount": {"name": name_of(nobody), "namespace": found.namespace}}
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    flow = {
        "priorityLevelConfiguration": {"name": name},
        "matchingPrecedence": 2,
        "rules": [{"subjects": [subject], "resourceRules": [rule]}],
    }
    pause = cluster.pause
    monkeypatch.setattr(cluster, "pause", lambda attempt, asked: waits.append(asked) or pause(attempt, asked))
    with (
        there(found, f"{FLOWS}/prioritylevelconfigurations", {"metadata": {"name": name}, "spec": level}),
        there(found, f"{FLOWS}/flowschemas", {"metadata": {"name": name}, "spec": flow}),
        ThreadPoolExecutor(16) as pool,
    ):
        await_until(lambda: {*pool.map(name_of, [nobody] * 16)} == {name_of(nobody)} and "1" in waits)


def test_who_may_not_reach_a_pod_or_make_a_claim_is_told_which_right_is_missing(nobody: Cluster) -> None:
    pod = {"metadata": {"name": "any"}, "spec": {"containers": [CONTAINER]}}
    place, who = f"kubernetes:{nobody.namespace}", f"{name_of(nobody)} may not"
    for ask, right in (
        (lambda: ExecStream(nobody, pod, ["true"]), "pods/exec"),
        (
            lambda: ground.ensure_claim(place, "x-dev", "main", "any", "1Mi"),
            "get persistentvolumeclaims",
        ),
        (lambda: workloads.look(nobody, "x-dev"), "list statefulsets.apps"),
    ):
        with pytest.raises(ForbiddenError) as fault:
            ask()
        assert who in str(fault.value)
        assert right in str(fault.value)
        assert f"-n {nobody.namespace}`" in str(fault.value)


def test_credentials_that_were_revoked_are_told(found: Cluster, nobody: Cluster) -> None:
    found.delete(found.at("serviceaccounts", name_of(nobody)))

    def said() -> str:
        with pytest.raises(ApiError) as fault:
            nobody.items(nobody.at("secrets"))
        return str(fault.value)

    await_until(lambda: "does not know who asks (Unauthorized); renew the credentials" in said())


def test_a_context_of_another_name_is_the_same_place_and_another_namespace_is_not(
    found: Cluster, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load(kubeconfig.read_text())
    known = next(each for each in document["contexts"] if each["name"] == document["current-context"])
    document["contexts"].append({"name": "again", "context": known["context"]})
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    here = f"kubernetes:{found.namespace}"

    assert ground.is_same(here, f"{here}@again")
    assert not ground.is_same(here, "kubernetes:default@again")
    assert not ground.is_same("kubernetes:nowhere", "kubernetes:nowhere@again")


# What is refused by rules of the cluster


def test_a_policy_that_denies_is_told_with_its_words(found: Cluster) -> None:
    name = f"{found.namespace}-owner"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [
            {"expression": "'owner' in object.metadata.?labels.orValue({})", "message": "no owner is named"}
        ],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": found.namespace}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    about = {"metadata": {"name": name}}

    def said() -> str:
        try:
            found.create(found.at("configmaps"), {"metadata": {"generateName": "x"}})
        except ApiError as fault:
            return str(fault)
        return ""

    with (
        there(found, f"{ADMISSION}/validatingadmissionpolicies", about | {"spec": policy}),
        there(found, f"{ADMISSION}/validatingadmissionpolicybindings", about | {"spec": binding}),
    ):
        await_until(lambda: "denied request: no owner is named; do as the webhook or policy says" in said())


@pytest.mark.parametrize("kind", ["statefulsets", "deployments"])
def test_a_pod_over_the_quota_is_told_and_made_soon_after_there_is_room(place: Ground, kind: str) -> None:
    with quota(place.cluster, pods="0"), workload(place, kind, "many"):
        await_until(lambda: trouble(place, "many").lasts)
        told = trouble(place, "many")
        assert "its pod cannot be made (" in told.said
        assert "exceeded quota: small" in told.said
        assert told.step.startswith(
            "free what is not needed, or have the namespace's ResourceQuota raised; see `kubectl"
        )
        await_until(lambda: _attempts(place.cluster) >= 6)  # the next one is seconds away
        place.cluster.delete(place.cluster.at("resourcequotas", "small"))

        troubles.renew(place.cluster, workloads.look(place.cluster, place.key)["many"])

        await_until(lambda: bool(workloads.look(place.cluster, place.key)["many"].pods), 10)
        place.cluster.create(
            place.cluster.at("resourcequotas"), {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "9"}}}
        )


def _attempts(found: Cluster) -> int:
    told = [each for each in found.items(found.at("events")) if each.get("reason") == "FailedCreate"]
    return sum(int(each.get("count") or 1) for each in told)


def test_a_pod_that_a_limit_range_refuses_is_told_with_the_setting(place: Ground) -> None:
    limit = {"type": "Container", "max": {"memory": "64Mi"}}
    limited = [CONTAINER | {"resources": {"limits": {"memory": "2Gi"}}}]
    found = place.cluster
    with (
        there(found, found.at("limitranges"), {"metadata": {"name": "low"}, "spec": {"limits": [limit]}}),
        workload(place, "statefulsets", "large", containers=limited),
    ):
        await_until(lambda: trouble(place, "large").lasts)
        told = trouble(place, "large")
        assert "maximum memory usage per Container is 64Mi, but limit is 2Gi" in told.said
        assert told.step.startswith("give it what the namespace's LimitRange allows (`memory`, `cpus`)")


def test_a_part_that_somebody_stopped_is_not_waited_for(place: Ground) -> None:
    spec = KubernetesSpec(place.place, place.key, "0" * 12, "idle", "server", "postgres:17.11", 999, 999)
    with workload(place, "statefulsets", "idle") as path:
        place.cluster.patch(f"{path}/scale", {"spec": {"replicas": 0}})
        await_until(lambda: not workloads.look(place.cluster, place.key)["idle"].pods)
        with pytest.raises(ServerError, match=r"^idle does not answer: it is stopped; run `keelson start idle`$"):
            part.wait(spec, lambda: "nobody listens", 3600)


def test_a_claim_over_the_quota_is_refused_and_nothing_is_left(place: Ground) -> None:
    found = place.cluster
    with quota(found, requests_storage="1Gi"):
        with pytest.raises(ForbiddenError, match=r"create persistentvolumeclaims .*exceeded quota: small.*; free what"):
            ground.ensure_claim(place.place, place.key, "main", "main-data", "2Gi")
        assert found.items(found.at("persistentvolumeclaims")) == []


# What does not go, and what is lost


def test_a_claim_that_a_foreign_finalizer_holds_is_told_and_goes_with_it(
    place: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = place.cluster
    ground.ensure_claim(place.place, place.key, "main", "held-data", "1Mi")
    path = found.at("persistentvolumeclaims", "held-data")
    found.patch(path, {"metadata": {"finalizers": [FINALIZER]}})
    with monkeypatch.context() as patch:
        patch.setattr(ground, "SECONDS_TO_END", 0.5)
        for call in (ground.drop_claim, lambda at, name: ground.ensure_claim(at, place.key, "main", name, "1Mi")):
            with pytest.raises(
                PlatformError, match=f"was deleted, and waits for the finalizer {FINALIZER}; see `kubectl"
            ):
                call(place.place, "held-data")
    found.patch(path, {"metadata": {"finalizers": []}})
    ground.drop_claim(place.place, "held-data")
    assert found.get(path) is None


def test_a_destroy_waits_for_what_a_finalizer_holds_and_tells_it(
    place: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, target = place.cluster, KubernetesTarget(place.place)
    monkeypatch.setattr(targets, "SECONDS_TO_STOP", 0.5)
    with workload(place, "statefulsets", "held") as path:
        target.await_end(place.key)  # it was not deleted: another tool may keep it
        found.patch(path, {"metadata": {"finalizers": [FINALIZER]}})
        found.delete(path, propagationPolicy="Foreground")
        with pytest.raises(
            PlatformError,
            match=rf"held-0 of held|statefulsets/held was deleted, and waits for the finalizer {FINALIZER}",
        ):
            target.await_end(place.key)
        await_until(lambda: not workloads.look(found, place.key)["held"].pods)
        with pytest.raises(
            PlatformError, match=rf"^statefulsets/held was deleted, and waits for the finalizer {FINALIZER}; see"
        ):
            target.await_end(place.key)
        threading.Timer(1.0, lambda: found.patch(path, {"metadata": {"finalizers": []}})).start()
        monkeypatch.setattr(targets, "SECONDS_TO_STOP", 30.0)
        target.await_end(place.key)
        assert found.get(path) is None


@pytest.fixture
def lost_node(found: Cluster) -> Iterator[str]:
    """A node that does not answer, and takes no pods."""
    name = f"lost-{secrets.token_hex(3)}"
    body = {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {"unschedulable": True}}
    with there(found, "/api/v1/nodes", body) as path:
        ill = {
            "type": "Ready",
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
        }
        found.patch(f"{path}/status", {"status": {"conditions": [ill]}})
        yield name


def test_a_pod_whose_node_does_not_answer_is_told_with_the_way_out(place: Ground, lost_node: str) -> None:
    labels = names.labels(place.key, "stranded")
    spec = {"nodeName": lost_node, "containers": [CONTAINER], "tolerations": [{"operator": "Exists"}]}
    place.cluster.create(place.cluster.at("pods"), {"metadata": {"name": "stranded-0", "labels": labels}, "spec": spec})
    try:
        told = trouble(place, "stranded")
        assert told.said == f"its node {lost_node} does not answer (Kubelet stopped posting node status)"
        assert told.step.endswith(f"`kubectl delete node {lost_node}` lets another one take the pod")
        assert told.lasts
    finally:
        place.cluster.delete(place.cluster.at("pods", "stranded-0"), gracePeriodSeconds=0)


def test_a_pod_for_which_nodes_are_cordoned_is_told_to_let_them_take_it(place: Ground, lost_node: str) -> None:
    selected = {
        "nodeSelector": {"kubernetes.io/hostname": lost_node},
        "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}],
    }
    with workload(place, "statefulsets", "waiting", **selected):
        await_until(lambda: "no node takes its pod" in trouble(place, "waiting").said)
        told = trouble(place, "waiting")
        assert "unschedulable" in told.said
        assert told.step.startswith("let a node take pods again (`kubectl uncordon NODE`), or add one; see")


# CronJobs


@contextmanager
def cron_job(place: Ground, name: str, **spec: Any) -> Iterator[str]:
    """Have a CronJob of the stack that is due each minute, and give its path."""
    template = {
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}
    }
    labels = {**names.labels(place.key, "backup"), names.JOB_LABEL: f"backup-{name}"}
    body = {
        "metadata": {"name": name, "labels": labels},
        "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": template, **spec},
    }
    found = place.cluster
    with there(found, found.at("cronjobs", api=BATCH), body) as path:
        yield path
    await_until(lambda: not _jobs(found, name))


def _jobs(found: Cluster, cron_job: str) -> list[str]:
    made = [each["metadata"]["name"] for each in found.items(found.at("jobs", api=BATCH), metadata=True)]
    return [each for each in made if each.startswith(f"{cron_job}-")]


def _resumed(found: Cluster, path: str) -> None:
    """Let a CronJob run that was suspended for a year."""
    found.patch(f"{path}/status", {"status": {"lastScheduleTime": LONG_AGO}})
    found.patch(path, {"spec": {"suspend": False}})


def test_a_cron_job_that_was_suspended_for_a_year_begins_one_run_and_no_more(place: Ground) -> None:
    with cron_job(place, "long", suspend=True, startingDeadlineSeconds=3600) as path:
        _resumed(place.cluster, path)
        await_until(lambda: bool(_jobs(place.cluster, "long")))
        assert len(_jobs(place.cluster, "long")) == 1
        assert (
            list(troubles.warnings(place.cluster, "long")) == []
        )  # of more than 100 that were missed: the deadline leaves 60


def test_a_run_that_lasts_is_not_overlapped_and_is_the_reason_of_a_missed_one(place: Ground) -> None:
    found = place.cluster

    def told() -> bool:
        events = found.items(found.at("events"), fields="involvedObject.name=slow")
        return any(each.get("reason") == "JobAlreadyActive" for each in events)

    with cron_job(place, "slow", suspend=True, startingDeadlineSeconds=3600) as path:
        _resumed(found, path)
        await_until(lambda: bool(_jobs(found, "slow")))
        await_until(lambda: _due_again(found, path) and told(), 90)
        assert len(_jobs(found, "slow")) == 1
        reason = runs._reason(found, runs.of_stack(found, place.key)["backup-slow"])
        assert re.match(r"the run of \S+ has not ended; see `kubectl .* describe cronjob slow`$", reason), reason


def _due_again(found: Cluster, path: str) -> bool:
    """Have a CronJob forget when it was begun last."""
    return bool(found.patch(f"{path}/status", {"status": {"lastScheduleTime": LONG_AGO}}))


def test_a_deadline_that_no_run_can_keep_is_told_before_one_is_missed(place: Ground) -> None:
    with cron_job(place, "hasty", suspend=True, startingDeadlineSeconds=3600) as path:
        place.cluster.patch(path, {"spec": {"suspend": False, "startingDeadlineSeconds": 0}})
        [fault] = _faults(place, "hasty")
        assert fault.startswith(
            "the CronJob hasty gives its runs 0 s to begin, which is less than the cluster's controllers need"
        )
        assert fault.endswith("run `keelson up -- --refresh`")


def test_a_run_whose_pod_the_quota_refuses_is_told(place: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "SETTLING", 0.0)
    with quota(place.cluster, pods="0"), cron_job(place, "poor", suspend=True, startingDeadlineSeconds=3600) as path:
        _resumed(place.cluster, path)
        await_until(lambda: bool(_faults(place, "poor")))
        [fault] = _faults(place, "poor")
        assert fault.startswith("the backup of poor does not begin: its pod cannot be made (")
        assert "exceeded quota: small" in fault


def _faults(place: Ground, name: str) -> list[str]:
    """Return what is wrong with a CronJob, as `status` tells it."""
    found = runs.of_stack(place.cluster, place.key)[f"backup-{name}"]
    work = runs.Work("backup", "backs up", name, None, found)
    return list(runs._faults(place.cluster, work, datetime.now(UTC)))
