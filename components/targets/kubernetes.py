"""Servers and daemons as pods, made by pulumi-kubernetes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import Output, Resource, ResourceOptions

from components.targets import (
    Backups,
    Drills,
    RunningDaemon,
    RunningServer,
    accounts,
    applications,
    archived,
    instances,
    jobs,
    monitoring,
    needs,
    network,
    page,
    pods,
    pooler,
    quota,
    replicas,
)
from components.targets.containers import ContainersTarget, Wanted, depending_on
from components.targets.objects import Objects
from components.targets.pods import Json
from keelson.containers import job, toolbox
from keelson.docker.images.choice import chosen
from keelson.docker.images.traits import Traits
from keelson.inside.settings import dump
from keelson.kubernetes import external, names, part, workloads
from keelson.kubernetes.part import KubernetesSpec
from keelson.settings.external import servers_of
from keelson.settings.limits import memory_of
from keelson.settings.monitoring import EXPORTERS
from keelson.settings.parts import PartSettings
from keelson.settings.stack import Stack
from providers.kubernetes_application import KubernetesApplication
from providers.kubernetes_operator import KubernetesOperator
from providers.kubernetes_part import KubernetesFiles, KubernetesPart
from providers.kubernetes_passwords import KubernetesPasswords
from providers.kubernetes_pooler import KubernetesPooler
from providers.kubernetes_stack import (
    KubernetesEntry,
    KubernetesGround,
    KubernetesIdentity,
    KubernetesStackSettings,
    KubernetesVolume,
)

LATEST_START = 3600  # seconds after which a run that could not be begun is left to the next time
EVICTED = {  # of a drained node, say: no attempt is used up
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}
KEPT_RUNS = {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 5}
WAITED_FOR = {"pulumi.com/skipAwait": "true"}  # by what follows, which says better why something does not answer
# Else one in its place meets it while its pod ends, or its operator makes anew what goes before it does.
GONE_AT_ONCE = {"pulumi.com/deletionPropagationPolicy": "background"}


class KubernetesTarget(ContainersTarget):
    """All parts as workloads of one namespace.

    Makes: Provider, KubernetesGround <stack>-ground, KubernetesIdentity <stack>, KubernetesEntry <stack>-entry, KubernetesStackSettings <stack>-settings,
    KubernetesVolume backups, NetworkPolicies, ServiceAccounts, Deployment toolbox; where the settings ask for them ResourceQuota quota and
    LimitRange usual, ExternalSecret keelson-passwords and KubernetesPasswords <stack>-passwords, Ingress or HTTPRoute pgadmin-page; per part
    KubernetesVolume <part>-data (not for the agent), KubernetesFiles <part>-files, Service and StatefulSet <part>, KubernetesPart <part>-process;
    for what is backed up BackupJob and CronJob <name>-backup, and for what is drilled DrillJob and CronJob <name>-drill; for each service of a client KubernetesApplication <namespace>-<service>.
    A server of several instances has CustomResource <server>, a Cluster, in place of volume, Service and StatefulSet; where it is archived
    KubernetesArchive <server>-archive-key and CustomResources <server>-archive-store and <server>-archive-schedule; and where it has a pooler CustomResource and PodDisruptionBudget <server>-pooler, KubernetesPooler <server>-pooler-process.

    Each other workload is one pod. So none has a PodDisruptionBudget, which would only keep a node from being drained. A Redis of several
    instances is another one's work (`components.targets.replicas`).
    """

    name = "kubernetes"

    def __init__(self, stack: Stack, parent: Resource) -> None:
        self._stack, self._key, self._place = stack, stack.key, stack.settings.place
        self._settings = stack.settings.kubernetes
        self._namespace = str(self._settings.namespace)
        self._objects = Objects(stack)
        self._provider = None if self._objects.applied_elsewhere else self._make_provider(parent)
        at = {"place": self._place, "key": self._key}
        keeps = {"keeps": self._data_stay} | self._objects.note | needs.of(stack.settings)
        self._ground = KubernetesGround(f"{stack.name}-ground", at | keeps, self._guarded(parent))
        self._identity, self._entry = self._make_entry(at, parent)
        self.stack_id: Output[str] = self._identity.stack_id
        self.marks: Mapping[str, Output[str]] = {"mark": self._with_passwords(parent)}
        self._backups = self._volume(names.JOB, names.BACKUPS, self._settings.backup_storage, parent, kept=True)
        self._policies = [*self._make_policies(parent), *self._make_accounts(parent)]
        self._make_quota(parent)
        self._operator = self._make_operator(parent)
        self._poolers: list[Resource] = []
        self._toolbox = self._make_toolbox(parent)

    def pgadmin(
        self, entries: Sequence[Mapping[str, str]], after: Sequence[Resource], parent: Resource
    ) -> RunningDaemon:
        """Make pgAdmin's pod, and what leads to it from outside where the settings name it."""
        made = super().pgadmin(entries, after, parent)
        self._make_page(parent)
        return made

    def agent(self, after: Sequence[Resource], parent: Resource) -> RunningDaemon:
        """Make the agent's pod, which runs no job: CronJobs do."""
        process = self._workload(Wanted("agent", "agent", "agent", {"jobs_elsewhere": True}, parent, after=after))
        return RunningDaemon(process, process.listens_on)

    def applications(self, after: Sequence[Resource], parent: Resource) -> Sequence[Resource]:
        """Make the Secrets of those whose namespaces are clients."""
        settings = self._stack.settings
        redis = {
            name: [part, number, *settings.encryption_of(part)]  # which changes the URLs
            for part, of in settings.redis.items()
            for name, number in of.databases.items()
        }
        usual = min(next(iter(settings.redis.values())).databases.items(), key=lambda each: each[1])[0] if redis else ""
        made: list[Resource] = []
        for namespace, services in self._settings.clients.items():
            for service in services:
                server = self._stack.databases[service].server
                entrances = list(settings.entrances_of(server))
                inputs = {
                    "place": self._place,
                    "key": self._key,
                    "namespace": namespace,
                    "service": service,
                    "server": server,
                    "redis": redis,
                    "usual_redis": usual,
                    **({"entrances": entrances} if entrances else {}),
                    **applications.logs_in_as(settings, service),
                    **applications.shows(self._stack, service),
                    **({"uses": Output.secret(uses)} if (uses := applications.uses(settings, service)) else {}),
                    **self.marks,
                }
                options = ResourceOptions(parent=parent, depends_on=[*after, *self._poolers])
                made.append(KubernetesApplication(f"{namespace}-{service}", inputs, options))
        return made

    def monitoring(
        self, servers: Mapping[str, RunningServer], redis: Mapping[str, RunningServer], parent: Resource
    ) -> None:
        """Make what shows the stack to Prometheus, where the settings ask for that."""
        if self._settings.monitoring:
            made_with = (self._objects, self._ground, self.stack_id, self.marks)
            workshop = monitoring.Workshop(self._stack, *made_with, self._workload, self._named, self._options)
            inside = ResourceOptions(parent=parent)
            monitoring.Monitoring(self._settings.monitoring, workshop, servers, redis, inside)

    def drill_job(self, drills: Drills, opts: ResourceOptions) -> Resource:
        """Make the CronJob that drills a database's backups, and write it down for those who ask whether a drill is due."""
        written = jobs.drill_job(drills, opts, self.marks)
        when = (drills.schedule, drills.settings.time_zone)
        return self._cron_job(names.DRILL, drills.name, when, written, opts.parent)

    def backup_job(self, backups: Backups, opts: ResourceOptions) -> Resource:
        """Make the CronJob that backs something up, and write it down for those who ask whether a backup is due."""
        written = jobs.backup_job(backups, opts, self.marks)
        when = (backups.settings.schedule, backups.settings.time_zone)
        return self._cron_job(names.JOB, backups.name, when, written, opts.parent)

    def _cron_job(
        self, part: str, of: str, when: tuple[str, str], written: Resource, parent: Resource | None
    ) -> Resource:
        """Make the CronJob that does the job `written` of a database or Redis; its pods are of the part `part`."""
        name = f"{names.of(of)}-{part}"
        image = chosen(self._settings, "agent")
        template = self._pod(part, image, job.container(self._key, f"{part}-{of}"), "agent")
        template["spec"]["restartPolicy"] = "Never"
        template["metadata"]["labels"] |= (told := {names.JOB_LABEL: f"{part}-{of}"})
        run = {"backoffLimit": 1, "podFailurePolicy": EVICTED, "activeDeadlineSeconds": job.LIMIT, "template": template}
        schedule, zone = when
        return self._objects.make(
            kubernetes.batch.v1.CronJob,
            name,
            metadata=self._named(name, part, told),
            spec={
                "schedule": schedule,
                "timeZone": zone,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": LATEST_START,
                **KEPT_RUNS,
                "jobTemplate": {"metadata": {"labels": template["metadata"]["labels"]}, "spec": run},
            },
            opts=self._options(parent or written, depends_on=[written, self._toolbox]),
        )

    def server(self, name: str, parent: Resource) -> RunningServer:
        """Make a server of one pod, or one of several instances, which an operator keeps."""
        if self._stack.settings.instances_of(name) == 1:
            return super().server(name, parent)
        wanted = self._server(name, parent, "cluster", "postgres-ha", self._of_instances(name))
        with_archive = (
            archived.Archive(self._stack, name, self._objects) if archived.is_archived(self._stack, name) else None
        )
        volume, files, process = self._instances(wanted, with_archive)
        if with_archive:
            with_archive.schedule(self._named, self._options(parent, depends_on=[process]))
        self._poolers += self._make_pooler(name, files, process, parent)
        return RunningServer(self._reference(name), volume, process, process.listens_on)

    def _of_instances(self, name: str) -> Json:
        """Return what a server's settings say of its instances."""
        settings = self._stack.settings
        pooled = {"pooler": True} if settings.servers[name].pooler else {}
        return (
            pooled
            | archived.setting(self._stack, name)
            | {
                "instances": settings.instances_of(name),
                "synchronous": settings.synchronous_of(name),
                "storage": settings.servers[name].storage or self._settings.storage,
                "wal_storage": settings.wal_storage_of(name),
                "storage_class": self._settings.storage_class or "",
                "memory": memory_of(settings.servers[name], "server"),
            }
        )

    def _instances(
        self, wanted: Wanted, archive: archived.Archive | None
    ) -> tuple[Resource, KubernetesFiles, KubernetesPart]:
        """Make the Cluster, whose volumes are its own, what its operator reads, and what is done once it runs."""
        name, parent = wanted.name, wanted.parent
        image = chosen(self._settings, wanted.image)
        made = self._spec(wanted, image)
        limits = _limits(self._stack.settings.servers[name], "server")
        cluster = instances.spec(made, image, limits=limits, pull_secrets=self._settings.pull_secrets)
        inputs = asdict(made) | {"stack_id": self.stack_id}
        inside = ResourceOptions(parent=parent, deleted_with=self._ground, depends_on=[self._ground])
        passwords = Output.secret(wanted.passwords)
        before = depending_on(inside, [self._toolbox, *self._operator])
        files = KubernetesFiles(f"{name}-files", inputs | {**self.marks, "passwords": passwords}, before)
        stores = archive.store(self._named, inside, self._options(parent), self.marks) if archive else []
        running = self._objects.make(
            kubernetes.apiextensions.CustomResource,
            names.of(name),
            api_version=workloads.OPERATORS_API,
            kind="Cluster",
            metadata=self._named(names.of(name), name),
            spec=cluster,
            opts=ResourceOptions.merge(
                self._options(parent, depends_on=[files, *stores, *self._policies]), self._guarded(parent)
            ),
        )
        digests = {"workload": pods.digest(cluster), "digest": files.digest}
        # Where the Cluster stays when the stack goes, its instances are ended by this resource, so that must be deleted too.
        rests = self._stack.settings.protected and not self._objects.applied_elsewhere
        ends = ResourceOptions(parent=parent) if rests else inside
        return running, files, KubernetesPart(f"{name}-process", inputs | digests, depending_on(ends, [running]))

    def _make_pooler(self, server: str, files: KubernetesFiles, process: Resource, parent: Resource) -> list[Resource]:
        """Make what shares a server's connections among many clients, where the settings say so; return what waits until it serves."""
        if not self._stack.settings.servers[server].pooler:
            return []
        name = names.pooler(server)
        spec = pooler.spec(self._stack, server, chosen(self._settings, "pgbouncer"))
        metadata = self._named(name, name, {names.COMPONENT_LABEL: "pooler"})
        made = self._objects.make(
            kubernetes.apiextensions.CustomResource,
            name,
            api_version=workloads.OPERATORS_API,
            kind="Pooler",
            metadata=metadata | {"annotations": GONE_AT_ONCE},
            spec=spec,
            opts=self._options(parent, depends_on=[process, *self._policies]),
        )
        self._objects.make(
            kubernetes.policy.v1.PodDisruptionBudget,
            name,
            metadata=metadata,
            spec=pooler.budget(server),
            opts=self._options(parent, depends_on=[self._ground]),
        )
        inputs = {
            "place": self._place,
            "key": self._key,
            "server": server,
            "digest": pooler.digest(spec),
            "files": files.digest,
        }
        return [KubernetesPooler(f"{name}-process", inputs, ResourceOptions(parent=parent, depends_on=[made]))]

    def _part(self, wanted: Wanted) -> tuple[KubernetesVolume, KubernetesPart]:
        """Make a part with a volume for its data."""
        if wanted.kind == "redis" and (count := self._stack.settings.instances_of(wanted.name)) > 1:
            return replicas.make(self, wanted, count)
        size = self._stack.settings.settings_of_parts[wanted.name].storage or self._settings.storage
        data = self._volume(wanted.name, names.data(wanted.name), size, wanted.parent)
        return data, self._workload(wanted, [data])

    def _workload(self, wanted: Wanted, volumes: Sequence[Resource] = ()) -> KubernetesPart:
        """Make what a part's pod reads, its Service and workload, and what is done once it runs."""
        name, parent = wanted.name, wanted.parent
        traits = chosen(self._settings, wanted.image)
        spec = self._spec(wanted, traits)
        inputs = asdict(spec) | {"stack_id": self.stack_id}
        inside = ResourceOptions(parent=parent, deleted_with=self._ground, depends_on=[self._ground])
        files = KubernetesFiles(
            f"{name}-files",
            inputs | {**self.marks, **wanted.secrets},
            depending_on(
                inside, [self._toolbox, *volumes, *wanted.after]
            ),  # through which a backup is made before data change hands
        )
        port = part.kind(wanted.kind).listens_on
        service = self._service(name, port, parent)
        template = self._pod(name, traits, part.container(spec), wanted.kind, port)
        options = self._options(parent, depends_on=[files, service, *self._policies])
        if wanted.kind in EXPORTERS.values():
            made = self._deployment(name, template, options, monitoring.STRATEGY)
        else:
            made = self._set(name, template, options)
        return KubernetesPart(
            f"{name}-process",
            inputs | {"workload": pods.digest(template), "digest": files.digest},
            depending_on(inside, [made]),
        )

    def _spec(self, wanted: Wanted, image: Traits) -> KubernetesSpec:
        return KubernetesSpec(
            place=self._place,
            key=self._key,
            stack_id="",
            name=wanted.name,
            kind=wanted.kind,
            image=image.reference,
            uid=image.uid,
            gid=image.gid,
            settings=wanted.settings,
            data_stays=self._data_stay,
        )

    def _pod(self, name: str, image: Traits, settings: Any, kind: str, port: int = 0) -> Json:  # noqa: ANN401
        part_settings = self._stack.settings.settings_of_parts.get(name)
        return pods.pod(
            self._key,
            name,
            image,
            settings,
            limits=_limits(part_settings, kind),
            port=port,
            pull_secrets=self._settings.pull_secrets,
            labels=self._told_of(name),
        )

    def _set(self, name: str, template: Json, opts: ResourceOptions) -> Resource:
        """Make the StatefulSet of one pod."""
        return self._objects.make(
            kubernetes.apps.v1.StatefulSet,
            names.of(name),
            metadata=self._named(names.of(name), name) | {"annotations": WAITED_FOR | GONE_AT_ONCE},
            spec={
                "replicas": 1,
                "podManagementPolicy": "Parallel",  # else an edit waits for ever for a pod that never gets ready
                "serviceName": names.of(name),
                "selector": {"matchLabels": names.labels(self._key, name)},
                "template": template,
            },
            opts=opts,
        )

    def _deployment(self, name: str, template: Json, opts: ResourceOptions, strategy: Json) -> Resource:
        """Make the Deployment of one pod that keeps nothing, and is gone before the next one comes."""
        return self._objects.make(
            kubernetes.apps.v1.Deployment,
            names.of(name),
            metadata=self._named(names.of(name), name),
            spec={
                "replicas": 1,
                "strategy": strategy,
                "selector": {"matchLabels": names.labels(self._key, name)},
                "template": template,
            },
            opts=opts,
        )

    def _service(self, name: str, port: int, parent: Resource) -> Resource:
        return self._objects.make(
            kubernetes.core.v1.Service,
            names.of(name),
            metadata=self._named(names.of(name), name),
            spec={
                "selector": names.labels(self._key, name),
                "ports": [{"name": "main", "port": port, "targetPort": port}],
            },
            opts=self._options(parent, depends_on=[self._ground]),
        )

    def _make_provider(self, parent: Resource) -> kubernetes.Provider:
        """Make the plugin's provider, which reads KUBECONFIG where it runs: no path of a machine stands in the state."""
        with _unset("KUBECONFIG"):
            return kubernetes.Provider(
                self._key,
                context=self._settings.context,
                namespace=self._namespace,
                cluster_identifier=self._key,
                upsert_existing_objects=True,
                enable_patch_force=True,  # what `keelson stop` or a person changed by hand is as the settings say again
                opts=ResourceOptions(parent=parent),
            )

    def _make_entry(self, at: Mapping[str, str], parent: Resource) -> tuple[KubernetesIdentity, KubernetesEntry]:
        """Make what the state knows of the stack: its id, which never changes, and its settings."""
        inside = ResourceOptions(parent=parent, deleted_with=self._ground, depends_on=[self._ground])
        stack, named = self._stack, {**at, "environment": self._stack.settings.environment}
        identity = KubernetesIdentity(stack.name, named, inside)
        entry = KubernetesEntry(f"{stack.name}-entry", named | {"stack_id": identity.stack_id}, inside)
        settings = {**at, "settings": dump(stack), "mark": entry.mark}
        KubernetesStackSettings(f"{stack.name}-settings", settings, inside)
        return identity, entry

    def _make_operator(self, parent: Resource) -> list[Resource]:
        """See that there is what keeps several instances, where a server shall have them."""
        settings = self._settings.operator
        if not any(self._stack.settings.instances_of(name) > 1 for name in self._stack.settings.servers):
            return []
        inputs = {
            "place": self._place,
            "install": settings.install,
            "manifest": settings.manifest,
            "sha256": settings.digest,
        }
        return [KubernetesOperator(f"{self._stack.name}-operator", inputs, ResourceOptions(parent=parent))]

    def _make_toolbox(self, parent: Resource) -> Resource:
        """Make the pod through which the volume of the backups is reached."""
        image = chosen(self._settings, "agent")
        template = self._pod(toolbox.NAME, image, toolbox.container(state_in_memory=True), toolbox.NAME)
        options = self._options(parent, depends_on=[self._backups, *self._policies])
        return self._deployment(
            toolbox.NAME, template, options, {"type": "Recreate"}
        )  # its volume may serve one node alone

    def _make_policies(self, parent: Resource) -> list[Resource]:
        """Close the namespace, and open what the parts need."""
        return [
            self._objects.make(
                kubernetes.networking.v1.NetworkPolicy,
                f"{name}-policy",
                metadata=self._named(name, "network"),
                spec=spec,
                opts=self._options(parent, depends_on=[self._ground]),
            )
            for name, spec in network.policies(self._stack).items()
        ]

    def _make_accounts(self, parent: Resource) -> list[Resource]:
        """Make the accounts of the parts' pods, without any right."""
        return [
            self._objects.make(
                kubernetes.core.v1.ServiceAccount,
                f"{names.of(name)}-account",
                metadata=self._named(names.of(name), name),
                automount_service_account_token=False,
                opts=self._options(parent, depends_on=[self._ground]),
            )
            for name in accounts.parts(self._stack.settings)
        ]

    def _with_passwords(self, parent: Resource) -> Output[str]:
        """Have passwords brought from outside where the settings say so; return what changes with them, and with the state."""
        settings, mark = self._settings.external_secrets, self._entry.mark
        if settings is None:
            return mark
        wanted = self._objects.make(
            kubernetes.apiextensions.CustomResource,
            external.SECRET,
            api_version=external.API,
            kind=external.KIND,
            metadata=self._named(external.SECRET, "passwords"),
            spec=external.spec(*needs.remote(settings)),
            opts=self._options(parent, depends_on=[self._ground]),
        )
        inputs = {
            "place": self._place,
            "key": self._key,
            "logins": {login: servers_of(login, self._stack.databases) for login in settings.passwords},
            "remote": settings.model_dump(mode="json", exclude_none=True),
            "mark": mark,
        }
        inside = ResourceOptions(parent=parent, deleted_with=self._ground, depends_on=[wanted])
        taken = KubernetesPasswords(f"{self._stack.name}-passwords", inputs, inside).taken
        return Output.concat(mark, "-", taken)

    def _make_page(self, parent: Resource) -> None:
        """Make pgAdmin's page under a public name."""
        settings, options = self._stack.settings.pgadmin, self._options(parent, depends_on=[self._ground])
        metadata = self._named(page.SERVICE, "pgadmin")
        if settings.ingress:
            metadata["annotations"] = metadata["annotations"] | settings.ingress.annotations
            spec = page.ingress(settings.ingress)
            self._objects.make(
                kubernetes.networking.v1.Ingress, "pgadmin-page", metadata=metadata, spec=spec, opts=options
            )
        if settings.gateway:
            spec = page.route(settings.gateway, part.kind("pgadmin").listens_on)
            self._objects.make(
                kubernetes.apiextensions.CustomResource,
                "pgadmin-page",
                **page.ROUTE,
                metadata=metadata,
                spec=spec,
                opts=options,
            )

    def _make_quota(self, parent: Resource) -> None:
        """Bound what the namespace may ask for, where the settings say so."""
        options, settings = self._options(parent, depends_on=[self._ground]), self._settings.quota
        if limits := quota.hard(settings):
            metadata = self._named("quota", "quota")
            self._objects.make(
                kubernetes.core.v1.ResourceQuota, "quota", metadata=metadata, spec={"hard": limits}, opts=options
            )
        if usual := quota.usual(settings):
            metadata = self._named("usual", "quota")
            self._objects.make(
                kubernetes.core.v1.LimitRange, "usual", metadata=metadata, spec={"limits": [usual]}, opts=options
            )

    def _volume(  # noqa: PLR0913 - what a volume is made of
        self, name: str, claim: str, size: str, parent: Resource, *, kept: bool = False, leaves: bool = False
    ) -> KubernetesVolume:
        """Make a claim that is never replaced: what its volume holds would be lost. One that `leaves` may be given up, and is kept unused."""
        return KubernetesVolume(
            claim,
            {
                "place": self._place,
                "key": self._key,
                "name": name,
                "claim": claim,
                "size": size,
                "storage_class": self._settings.storage_class or "",
                "kind": self._stack.settings.parts.get(name, name),
            }
            | self._objects.note,
            depending_on(self._guarded(parent, kept=kept, leaves=leaves), [self._ground]),
        )

    def _named(self, name: str, part: str, more: Mapping[str, str] | None = None) -> Json:
        return {
            "name": name,
            "namespace": self._namespace,
            "labels": names.labels(self._key, part) | self._told_of(part) | dict(more or {}),
            "annotations": WAITED_FOR,
        }

    def _told_of(self, part: str) -> dict[str, str]:
        """Return the labels that other tools know a part by; no selector reads them."""
        return names.told_of(self._key, self._stack.settings.parts.get(part, part))

    @property
    def _data_stay(self) -> bool:
        """Whether volumes outlive the stack: as it is protected, or as they are a GitOps tool's."""
        return self._stack.settings.protected or self._objects.applied_elsewhere

    def _guarded(self, parent: Resource, *, kept: bool = False, leaves: bool = False) -> ResourceOptions:
        """Return the options of what a protected stack keeps, and a destroy must not touch unasked; `kept` in every stack."""
        protected = self._stack.settings.protected
        return ResourceOptions(parent=parent, protect=protected and not leaves, retain_on_delete=protected or kept)

    def _options(self, parent: Resource | None, **more: Any) -> ResourceOptions:  # noqa: ANN401 - a resource's options
        return ResourceOptions(parent=parent, provider=self._provider, **more)


@contextlib.contextmanager
def _unset(variable: str) -> Iterator[None]:
    """Hide a variable of the environment from what would make an input of it."""
    value = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[variable] = value


def _limits(settings: PartSettings | None, kind: str) -> dict[str, str]:
    """Return what a part may take of a node."""
    cpus = {"cpu": f"{settings.cpus:g}"} if settings and settings.cpus else {}
    return {"memory": f"{memory_of(settings, kind)}Mi", **cpus}
