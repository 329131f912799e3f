"""A Redis of several instances as pods: each with a sentinel beside it, and proxies that lead clients to the master.

What takes its place beside the hub's other parts; so it is made with the hub's own means.
"""
# ruff: noqa: SLF001 - the hub's means are nobody else's

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pulumi_kubernetes as kubernetes
from pulumi import Output, Resource, ResourceOptions

from components.targets import pods
from components.targets.containers import Wanted, depending_on
from components.targets.pods import Json
from keelson.containers import replicas as containers
from keelson.containers.model import CONFIG, ContainerSettings
from keelson.docker.images.choice import chosen
from keelson.kubernetes import names, part
from keelson.kubernetes.part import KubernetesSpec
from keelson.kubernetes.replicas import Instance, instances, proxy, users
from keelson.kubernetes.sentinel import MADE_OF
from keelson.settings.images import ImageName
from keelson.settings.limits import BESIDE_REDIS, MEGABYTE, PROXIES, memory_of
from keelson.settings.parts import count_bytes
from providers.kubernetes_part import KubernetesFiles, KubernetesPart
from providers.kubernetes_stack import KubernetesVolume

if TYPE_CHECKING:
    from components.targets.kubernetes import KubernetesTarget

MEMORY = {name: f"{count_bytes(text) // MEGABYTE}Mi" for name, text in BESIDE_REDIS.items()}
ZONES = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


def make(hub: KubernetesTarget, wanted: Wanted, count: int) -> tuple[KubernetesVolume, KubernetesPart]:
    """Make a Redis of so many instances; return the first one's volume, and what answers.

    Makes KubernetesFiles <redis>-files, KubernetesPart <redis>-process, Deployment and PodDisruptionBudget <redis>-proxy, Service and
    PodDisruptionBudget <redis>; per instance KubernetesVolume, Service <redis>-<number> and StatefulSet.
    """
    return _Making(hub, replace(wanted, settings={**wanted.settings, "instances": count}), count).run()


@dataclass(frozen=True)
class _Making:
    hub: KubernetesTarget
    wanted: Wanted
    count: int

    def run(self) -> tuple[KubernetesVolume, KubernetesPart]:
        hub, name, parent = self.hub, self.wanted.name, self.wanted.parent
        volumes = [self._volume(each) for each in self._instances]
        inputs = asdict(self._spec) | {"stack_id": hub.stack_id}
        inside = ResourceOptions(parent=parent, deleted_with=hub._ground, depends_on=[hub._ground])
        files = KubernetesFiles(
            f"{name}-files",
            inputs | {**hub.marks, "passwords": Output.secret(self.wanted.passwords)},
            depending_on(inside, [hub._toolbox, *volumes, *self.wanted.after]),
        )
        templates = {each: self._pod(each) for each in self._instances}
        before = [files, *hub._policies]
        known = [self._known(each) for each in self._instances]
        sets = [self._set(each, template, [*before, *known]) for each, template in templates.items()]
        proxies = self._proxies([*before, *known])
        service = self._service([*sets, proxies])
        budgets = [self._budget(name, self._parts), self._budget(proxy(name), [proxy(name)])]
        digests = {"workload": pods.digest({"pods": [*templates.values()]}), "digest": files.digest}
        return volumes[0], KubernetesPart(
            f"{name}-process", inputs | digests, depending_on(inside, [*sets, proxies, service, *budgets])
        )

    @property
    def _instances(self) -> tuple[Instance, ...]:
        return instances(self.wanted.name, self.count)

    @property
    def _parts(self) -> list[str]:
        return [each.part for each in self._instances]

    @property
    def _tls(self) -> str:
        return self.hub._stack.settings.encryption_of(self.wanted.name).get("tls", "")

    @property
    def _spec(self) -> KubernetesSpec:
        return self.hub._spec(self.wanted, chosen(self.hub._settings, "redis"))

    def _volume(self, instance: Instance) -> KubernetesVolume:
        """Make an instance's volume; that of one which leaves goes with it, or stays unused where the stack's data stay."""
        hub, redis = self.hub, self.wanted.name
        size = hub._stack.settings.redis[redis].storage or hub._settings.storage
        if instance.number == 0:
            return hub._volume(redis, names.data(redis), size, self.wanted.parent)
        return hub._volume(instance.part, names.data(instance.part), size, self.wanted.parent, leaves=True)

    def _known(self, instance: Instance) -> Resource:
        """Make the name by which the others know an instance, ready or not."""
        ports = {"main": containers.PORT, "sentinel": containers.SENTINEL_PORT}
        return self._object(
            kubernetes.core.v1.Service,
            instance.host,
            instance.part,
            {
                "publishNotReadyAddresses": True,
                "selector": names.labels(self.hub._key, instance.part),
                "ports": [{"name": name, "port": port, "targetPort": port} for name, port in ports.items()],
            },
            [self.hub._ground],
        )

    def _service(self, after: Sequence[Resource]) -> Resource:
        """Make the name by which clients come to the master: that of the part, as where it has one instance."""
        name, port = names.of(self.wanted.name), containers.PORT
        spec = {
            "selector": names.labels(self.hub._key, proxy(self.wanted.name)),
            "ports": [{"name": "main", "port": port, "targetPort": port}],
        }
        return self._object(kubernetes.core.v1.Service, name, self.wanted.name, spec, after)

    def _set(self, instance: Instance, template: Json, after: Sequence[Resource]) -> Resource:
        """Make the StatefulSet of one instance, whose pod is made anew by what knows when it may be.

        The API lets none that made its pods anew itself leave that to others; so the first one, which a single Redis is too, always does.
        """
        itself = {} if instance.number == 0 else {"updateStrategy": {"type": "OnDelete"}}
        serving = names.of(self.wanted.name) if instance.number == 0 else instance.host
        spec = {
            "replicas": 1,
            "podManagementPolicy": "Parallel",
            **itself,
            "serviceName": serving,
            "selector": {"matchLabels": names.labels(self.hub._key, instance.part)},
            "template": template,
        }
        return self._object(kubernetes.apps.v1.StatefulSet, instance.workload, instance.part, spec, after)

    def _proxies(self, after: Sequence[Resource]) -> Resource:
        part_name = proxy(self.wanted.name)
        spec = {
            "replicas": PROXIES,
            "selector": {"matchLabels": names.labels(self.hub._key, part_name)},
            "template": self._proxy_pod(part_name),
        }
        return self._object(kubernetes.apps.v1.Deployment, names.of(part_name), part_name, spec, after)

    def _budget(self, name: str, parts: Sequence[str]) -> Resource:
        """Let a drained node take one of these pods at a time."""
        chosen_parts = {"matchLabels": names.labels(self.hub._key), "matchExpressions": [_one_of(parts)]}
        spec = {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": chosen_parts}
        budget = kubernetes.policy.v1.PodDisruptionBudget
        return self._object(budget, names.of(name), name, spec, [self.hub._ground])

    def _object(self, kind: type[Any], name: str, part_name: str, spec: Json, after: Sequence[Resource]) -> Resource:
        hub = self.hub
        metadata = hub._named(name, part_name)
        metadata["labels"] |= self._labels(part_name)
        options = hub._options(self.wanted.parent, depends_on=list(after))
        return hub._objects.make(kind, name, metadata=metadata, spec=spec, opts=options)

    def _labels(self, part_name: str) -> dict[str, str]:
        """Return the labels of what belongs to the Redis, and of which part of it that is."""
        told = names.told_of(self.hub._key, "redis")
        return told if part_name == self.wanted.name else told | {names.MEMBER_LABEL: self.wanted.name}

    def _pod(self, instance: Instance) -> Json:
        """Return the template of an instance's pod: Redis, and a sentinel on the same volume."""
        settings = self.hub._stack.settings.redis[self.wanted.name]
        cpus = {"cpu": f"{settings.cpus:g}"} if settings.cpus else {}
        main = containers.instance(part.container(self._spec), instance.host)
        template = self._template(
            instance.part, "redis", main, {"memory": f"{memory_of(settings, 'redis')}Mi", **cpus}, containers.PORT
        )
        beside = self._template(
            instance.part,
            "redis",
            containers.sentinel(instance.host, self._tls),
            {"memory": MEMORY["sentinel"]},
            containers.SENTINEL_PORT,
        )
        sentinel = beside["spec"]["containers"][0] | {"name": "sentinel"}
        sentinel["ports"][0]["name"] = "sentinel"
        spec = template["spec"]
        redis = spec["containers"][0] | {"name": "redis"}
        redis["lifecycle"] = {"preStop": {"exec": {"command": ["sh", f"{CONFIG}/handover.sh"]}}}
        redis["volumeMounts"].append({"name": "users", "mountPath": containers.USERS, "readOnly": True})
        secret = {"secretName": users(self.wanted.name), "defaultMode": pods.READABLE, "optional": True}
        spec["volumes"].append({"name": "users", "secret": secret})
        spec |= {"containers": [redis, sentinel], **self._apart(self._parts)}
        return _marked(template)

    def _proxy_pod(self, part_name: str) -> Json:
        """Return the template of a proxy's pod, which sees nothing of the Redis but how to find the master."""
        template = self._template(
            part_name, "haproxy", containers.proxy(), {"memory": MEMORY["proxy"]}, containers.PORT
        )
        spec = template["spec"]
        container = spec["containers"][0]
        container |= {"name": "proxy", "command": [*containers.PROXY_COMMAND]}
        del container["args"]
        checks = {"tcpSocket": {"port": containers.PORT}}
        container["readinessProbe"] = {**checks, "periodSeconds": 2}
        container["livenessProbe"] = {**checks, "periodSeconds": 20, "failureThreshold": 6}
        (config,) = (each["secret"] for each in spec["volumes"] if each["name"] == "config")
        shown = (*containers.PROXY_FILES, *(["ca.crt"] if self._tls else []))
        config["items"] = [{"key": name, "path": name} for name in shown]
        spec |= self._apart([part_name])
        template["metadata"]["annotations"] = {
            "keelson.dev/instances": str(self.count),  # which its configuration names
            **({"keelson.dev/tls": self._tls} if self._tls else {}),
        }
        return _marked(template)

    def _template(
        self, part_name: str, image: ImageName, settings: ContainerSettings, limits: Mapping[str, str], port: int
    ) -> Json:
        hub = self.hub
        template = pods.pod(
            hub._key,
            part_name,
            chosen(hub._settings, image),
            settings,
            limits=limits,
            port=port,
            pull_secrets=hub._settings.pull_secrets,
            labels=self._labels(part_name),
        )
        spec = template["spec"]
        spec["serviceAccountName"] = names.of(self.wanted.name)
        for volume in spec["volumes"]:
            if volume["name"] == "config":
                volume["secret"]["secretName"] = names.config(self.wanted.name)
        return template

    def _apart(self, parts: Sequence[str]) -> Json:
        """Return that pods of these parts run on other nodes, and in other zones, where there are such."""
        chosen_parts = {"matchLabels": names.labels(self.hub._key), "matchExpressions": [_one_of(parts)]}
        spread = {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": chosen_parts}
        return {"topologySpreadConstraints": [spread | {"topologyKey": key} for key in ZONES]}


def _marked(template: Json) -> Json:
    """Return a template that says what it is, and so do its pods."""
    annotations = template["metadata"].get("annotations", {})
    template["metadata"]["annotations"] = annotations | {MADE_OF: pods.digest(template)}
    return template


def _one_of(parts: Sequence[str]) -> Json:
    return {"key": names.PART_LABEL, "operator": "In", "values": [*parts]}
