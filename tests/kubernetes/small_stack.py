"""A stack of a PostgreSQL, a Redis and the toolbox in a namespace of its own, as the engine would make it."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from components.targets import pods
from keelson.agent.jobs import Job, backup_of
from keelson.containers import job, toolbox
from keelson.docker import images
from keelson.endpoint import Reference
from keelson.kubernetes import cluster, ground, names, part, state
from keelson.kubernetes import toolbox as boxes
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.target import KubernetesTarget
from keelson.local.locks import exclusive
from tests import cluster as shared

IMAGES = {"toolbox": "agent", "main": "postgres", "redis": "redis"}
KINDS = {"main": "server", "redis": "redis"}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "main": {"parameters": {"fsync": "off"}, "version": "17"},
    "redis": {
        "maxmemory": "16mb",
        "maxmemory_policy": "noeviction",
        "databases": {"cache": 0},
        "notify_keyspace_events": "",
        "append_only": False,
    },
}
LIMITS = {"memory": "256Mi"}
SIZE = "1Gi"
NEVER = "0 0 29 2 *"
SECONDS_TO_LOAD = 600.0


@dataclass(frozen=True)
class SmallStack:
    """What is in the cluster."""

    place: str
    key: str
    images: Mapping[str, str]

    @property
    def target(self) -> KubernetesTarget:
        """The target that is tested."""
        return KubernetesTarget(self.place)

    @property
    def cluster(self) -> Cluster:
        """The cluster and the namespace."""
        return cluster.connect(self.place)

    @property
    def stack_id(self) -> str:
        """The stack's random id."""
        return str(state.ask(self.place, self.key, "register", environment="dev"))

    def reference(self, server: str = "main") -> Reference:
        """Return the reference to a server as its administrator."""
        return Reference(stack=self.key, target=self.place, server=server)

    def make(self, parts: Collection[str]) -> None:
        """Make the namespace, the toolbox and the parts."""
        ground.ensure_namespace(self.place, self.key)
        stack_id = self.stack_id
        ground.ensure_claim(self.place, self.key, names.JOB, names.BACKUPS, SIZE)
        self.workload("deployments", "toolbox", self.pod("toolbox", toolbox.container(state_in_memory=True)))
        for name in parts:
            self.make_part(name, stack_id)

    def make_part(self, name: str, stack_id: str) -> None:
        """Make volume, files, Service and pod of a part."""
        traits = images.traits(IMAGES[name])
        spec = KubernetesSpec(
            self.place, self.key, stack_id, name, KINDS[name], traits.reference, traits.uid, traits.gid, SETTINGS[name]
        )
        ground.ensure_claim(self.place, self.key, name, names.data(name), SIZE)
        part.write_files(spec, {})
        port = part.kind(spec.kind).listens_on
        service = {"selector": names.labels(self.key, name), "ports": [{"port": port}]}
        self.apply("services", "v1", name, names.labels(self.key, name), service)
        self.workload("statefulsets", name, self.pod(name, part.container(spec), port))

    def pod(self, name: str, settings: Any, port: int = 0, image: str = "") -> Json:
        """Return a pod's template, which is looked at more often than in earnest: a test waits for it."""
        traits = images.traits(image or IMAGES[name])
        made = pods.pod(self.key, name, traits, settings, limits=LIMITS, port=port)
        del made["spec"]["serviceAccountName"]  # nobody makes one here
        container = made["spec"]["containers"][0]
        for probe in ("startupProbe", "readinessProbe"):
            if found := container.get(probe):
                found["periodSeconds"] = 1
        for resources in container["resources"].values():
            resources.pop("ephemeral-storage", None)  # the test cluster's node counts none
        return made

    def workload(self, kind: str, name: str, template: Json) -> None:
        """Make the workload of one pod."""
        spec = {"replicas": 1, "selector": {"matchLabels": names.labels(self.key, name)}, "template": template}
        if kind == "statefulsets":
            spec["serviceName"] = names.of(name)
        self.apply(kind, "apps/v1", name, names.labels(self.key, name), spec)

    def cron_job(self, database: str, schedule: str = NEVER, **container: Any) -> str:
        """Make a backup's job with its CronJob, whose container may differ, and return its name."""
        reference, kept = self.reference().to(database=database), {"keep_days": 7, "keep_at_least": 1, "time_limit": 60}
        entry = Job(backup_of(database), "backup", reference, schedule, settings=kept, registered=1.0)
        state.ask(self.place, self.key, "put_job", job=asdict(entry))
        template = self.pod("backup", job.container(self.key, entry.name), image="agent")
        template["spec"]["restartPolicy"] = "Never"
        template["spec"]["containers"][0] |= container
        spec = {
            "schedule": schedule,
            "timeZone": "UTC",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": template}},
        }
        name = f"{names.of(database)}-backup"
        self.apply(
            "cronjobs", "batch/v1", name, {**names.labels(self.key, "backup"), names.JOB_LABEL: entry.name}, spec
        )
        return name

    def run_now(self, cron_job: str) -> str:
        """Have a CronJob's work done now, and return the Job's name."""
        found = self.cluster.get(self.cluster.at("cronjobs", cron_job, api="batch/v1"))
        assert found
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job, "uid": found["metadata"]["uid"]}
        name = f"{cron_job}-{secrets.token_hex(3)}"
        body = {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": found["spec"]["jobTemplate"]["spec"]}
        self.cluster.create(self.cluster.at("jobs", api="batch/v1"), body)
        return name

    def apply(self, kind: str, api: str, name: str, labels: Mapping[str, str], spec: Json) -> None:
        """Make or change an object as the engine does."""
        singular = {
            "statefulsets": "StatefulSet",
            "deployments": "Deployment",
            "cronjobs": "CronJob",
            "services": "Service",
        }
        body = {
            "apiVersion": api,
            "kind": singular[kind],
            "metadata": {"name": names.of(name), "labels": dict(labels)},
            "spec": spec,
        }
        self.cluster.apply(self.cluster.at(kind, names.of(name), api=api), body)

    def delete_pod(self, name: str) -> None:
        """Delete a part's pod at once, as a node does that fails."""
        self.cluster.delete(self.cluster.at("pods", name), gracePeriodSeconds=0)


def brought(kubeconfig: Path, host: str, directory: Path) -> dict[str, str]:
    """Return the references of the images, made by a Docker daemon and brought to the cluster's node where that lacks them."""
    with closing(docker.DockerClient(base_url=host, version="auto", timeout=60)) as client:
        made = {image.name: image.reference for image in images.build(client, sorted({*IMAGES.values()}))}
    note = kubeconfig.with_name("images-of-tests.json")
    with exclusive(note.with_suffix(".lock"), seconds=SECONDS_TO_LOAD):
        there = set(json.loads(note.read_text())) if note.exists() else set()
        if lacking := sorted({*made.values()} - there):
            archive = directory / "images.tar"
            subprocess.run(["docker", "--host", host, "save", "--output", archive, *lacking], check=True)
            shared.load(kubeconfig, archive)
            archive.unlink()
            note.write_text(json.dumps(sorted(there | {*lacking})))
    return made


@contextmanager
def small_stack(
    kubeconfig: Path, host: str, directory: Path, parts: Collection[str] = ("main", "redis")
) -> Iterator[SmallStack]:
    """Give a stack that answers; in the end it is gone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        patch.setenv("XDG_STATE_HOME", str(directory))
        patch.setattr(cluster, "_links", {})
        name = f"s{secrets.token_hex(4)}"
        made = SmallStack(f"kubernetes:{name}", f"{name}-dev", brought(kubeconfig, host, directory))
        try:
            made.make(parts)
            notes = made.target.start(made.key)
            assert not notes, notes
            yield made
        finally:
            boxes.close(made.place, made.key)
            made.cluster.delete(f"/api/v1/namespaces/{name}")
