"""Target kubernetes on Pulumi's mocks: the objects that it makes, held to the API's schemas and to rules of our own."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes_validate
import pulumi
import pytest
import yaml
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from keelson.kubernetes import cluster, ground, names
from keelson.kubernetes.cluster import Cluster
from keelson.postgres.names import RoleNames
from keelson.settings import demand
from keelson.settings.stack import Stack, read_stack
from providers import values
from tests.stack.harness import CHECKOUT, wait_until

Json = dict[str, Any]
OLDEST, NEWEST = "1.30", "1.34"  # of Kubernetes, that the target is held to
PASSWORD = "chosen by the user"
KUBECONFIG = "/home/somebody/.kube/config"
PATHS = {
    "Service": ("services", "v1"),
    "StatefulSet": ("statefulsets", "apps/v1"),
    "Deployment": ("deployments", "apps/v1"),
    "CronJob": ("cronjobs", "batch/v1"),
    "NetworkPolicy": ("networkpolicies", "networking.k8s.io/v1"),
    "ServiceAccount": ("serviceaccounts", "v1"),
    "ResourceQuota": ("resourcequotas", "v1"),
    "LimitRange": ("limitranges", "v1"),
    "Ingress": ("ingresses", "networking.k8s.io/v1"),
    "ConfigMap": ("configmaps", "v1"),
}
OWN_LABELS = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "part-of", "managed-by")}
SELECTED_BY = {names.STACK_LABEL, names.PART_LABEL, "app.kubernetes.io/managed-by"}
DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
FIXED_IMAGE = re.compile(r".+@sha256:[0-9a-f]{64}|.+:(?!latest)[\w.-]+")
WORKLOADS = {"StatefulSet", "Deployment", "CronJob"}
RESTRICTED_VOLUMES = {"emptyDir", "persistentVolumeClaim", "secret"}
PORTS = {
    "server": 5432,
    "redis": 6379,
    "pgadmin": 5050,
    "agent": 9180,
    "postgres-exporter": 9187,
    "redis-exporter": 9121,
}
UNITS = {"Mi": 2**20, "Gi": 2**30, "": 1}

AGENT_IMAGE = "registry.example/keelson/agent:1"
SECRETS: Json = {"passwords": {"auth_app_a": PASSWORD}, "pgadmin": {"password": PASSWORD}}
VARIED: Json = {
    "environment": "dev",
    "servers": {
        "main": {"memory": "900mb", "cpus": 1.5, "storage": "30Gi"},
        "time_scale": {"timescaledb": True},
    },
    "databases": ["auth_service", "ticks"],
    "redis": {
        "session_store": {"maxmemory": "512mb", "maxmemory_policy": "noeviction", "passwords": {"admin": PASSWORD}},
        "cache": {"maxmemory": "32mb", "memory": "64mb"},
    },
    "pgadmin": {
        "ingress": {
            "host": "db.example.com",
            "class": "nginx",
            "tls_secret": "db-tls",
            "annotations": {"example.com/limit": "10"},
            "from_namespace": "web",
        },
        "oidc": {
            "issuer": "https://id.example.com:8443/realms/x",
            "client_id": "keelson",
            "client_secret": PASSWORD,
            "allowed_groups": ["dba"],
        },
    },
    "kubernetes": {
        "context": "production",
        "namespace": "platform",
        "storage_class": "fast",
        "storage": "5Gi",
        "backup_storage": "7Gi",
        "pull_secrets": ["registry"],
        "quota": {"cpus": 2.7, "memory": "14Gi", "storage": "57Gi", "pods": 13},
        "clients": {"shop": ["auth_service"], "desk": ["auth_service", "ticks"]},
        "image": {
            name: {"reference": f"registry.example/{name}:1", "uid": 4000, "gid": 4001}
            for name in ("postgres", "timescaledb", "redis", "pgadmin", "agent")
        },
    },
}
SMALLEST: Json = {
    "environment": "dev",
    "servers": {"main": {}},
    "databases": ["auth_service"],
    "redis": {},
    "pgadmin": {"enabled": False},
    "agent": {"enabled": False},
    "kubernetes": {"image": {"agent": AGENT_IMAGE}},
}
MONITORED: Json = {
    "environment": "dev",
    "servers": {"main": {}, "time_scale": {"timescaledb": True}},
    "redis": {"session_store": {}, "cache": {}},
    "pgadmin": {"enabled": False},
    "kubernetes": {
        "image": {"agent": AGENT_IMAGE},
        "monitoring": {"namespace": "watchers", "labels": {"release": "prometheus"}},
    },
}
FOLDERS = {"auth_service": "main", "ticks": "time_scale"}


@dataclass
class Made(pulumi.runtime.Mocks):
    """A stack on Pulumi's mocks: what was registered, with its options."""

    stack: Stack
    inputs: dict[str, Json] = field(repr=False, default_factory=dict)
    manifests: list[Json] = field(repr=False, default_factory=list)
    options: dict[str, resource_pb2.RegisterResourceRequest] = field(repr=False, default_factory=dict)  # by URN

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, Json]:
        self.inputs[args.name] = args.inputs
        if args.typ.startswith("kubernetes:"):
            self.manifests.append(values.plain(args.inputs))
        computed = {"stack_id": "0123456789ab", "digest": "d", "mark": "m", "version": "1", "pending": "", "taken": "t"}
        return f"{args.name}-id", {**computed, "listens_on": 5432, **args.inputs}

    def call(self, args: mocks.MockCallArgs) -> tuple[Json, list[tuple[str, str]]]:
        raise AssertionError(args.token)

    def of_kind(self, *kinds: str) -> list[Json]:
        return [each for each in self.manifests if each["kind"] in kinds]

    @property
    def pods(self) -> dict[str, Json]:
        """The templates of all pods, by the names of their workloads."""
        return {_name(each): _template(each) for each in self.of_kind(*WORKLOADS)}

    @property
    def parts(self) -> dict[str, Json]:
        """The labels of a pod of each part."""
        templates = self.pods.values()
        return {each["metadata"]["labels"][names.PART_LABEL]: each["metadata"]["labels"] for each in templates}

    def kind_of(self, workload: str) -> str:
        return next(str(each["kind"]) for each in self.of_kind(*WORKLOADS) if _name(each) == workload)

    def urn_of(self, name: str, kind: str = "") -> str:
        found = [urn for urn in self.options if urn.endswith(f"{kind}::{name}")]
        assert len(found) == 1, (name, found)
        return found[0]

    def waits_for(self, urn: str) -> set[str]:
        """Return what must be there before a resource, and is deleted after it."""
        found: set[str] = set()
        waiting = [urn]
        while waiting:
            request = self.options[waiting.pop()]
            direct = {*request.dependencies, request.parent, request.provider.rpartition("::")[0]}
            for inputs in request.propertyDependencies.values():
                direct |= set(inputs.urns)
            new = {each for each in direct if each in self.options} - found
            found |= new
            waiting += new
        return found


def make(stack: Stack) -> Made:
    """Return what a stack's program makes."""
    made = Made(stack)
    usual = mocks.MockMonitor.RegisterResource

    def register(monitor: mocks.MockMonitor, request: resource_pb2.RegisterResourceRequest) -> Any:
        reply = usual(monitor, request)
        made.options[reply.urn] = request
        return reply

    @pulumi.runtime.test
    def bring_up() -> None:
        from components.platform import Platform  # noqa: PLC0415 - after the mocks are set

        Platform(stack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", KUBECONFIG)
        patch.setattr(mocks.MockMonitor, "RegisterResource", register)
        pulumi.runtime.set_mocks(made, project=stack.project, stack=stack.name, preview=False)
        bring_up()
    return made


def read(root: Path, name: str, settings: Mapping[str, Any]) -> Stack:
    config = {
        f"keelson:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in ({"target": "kubernetes"} | dict(settings)).items()
    }
    return read_stack(config, "keelson", name, root)


def read_shipped(name: str) -> Stack:
    """Return the shipped stack of that name with the repository's own databases, as it is on Kubernetes."""
    text = (CHECKOUT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8")
    settings = {key.removeprefix("keelson:"): value for key, value in yaml.safe_load(text)["config"].items()}
    changed = {"target": "kubernetes", "kubernetes": {"image": {"agent": AGENT_IMAGE}}}
    return read(CHECKOUT, name, settings | changed | SECRETS)


def write_project(root: Path, folders: Mapping[str, str] = FOLDERS) -> Path:
    """Write a database of one migration into `sql/` for each of `folders`, with its server."""
    for database, server in folders.items():
        folder = root / "sql" / database
        (folder / "migrations").mkdir(parents=True)
        (folder / "migrations" / "001_first.sql").write_text("CREATE TABLE first (id int PRIMARY KEY);\n")
        (folder / "database.yaml").write_text(f"server: {server}\n")
    return root


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """The shipped stacks, one with every setting, and one of the least parts."""
    root = write_project(tmp_path_factory.mktemp("project"))
    read_all = {
        "dev": read_shipped("dev"),
        "prod": read_shipped("prod"),
        "varied": read(root, "varied_stack", VARIED),
        "smallest": read(root, "smallest", SMALLEST),
        "monitored": read(root, "monitored", MONITORED),
    }
    return {name: make(stack) for name, stack in read_all.items()}


@pytest.fixture(params=["dev", "prod", "varied", "smallest", "monitored"])
def made(request: pytest.FixtureRequest, stacks: dict[str, Made]) -> Made:
    return stacks[request.param]


def _name(manifest: Json) -> str:
    return str(manifest["metadata"]["name"])


def _template(workload: Json) -> Json:
    spec = workload["spec"]
    found: Json = spec["jobTemplate"]["spec"]["template"] if workload["kind"] == "CronJob" else spec["template"]
    return found


def _containers(made: Made) -> Iterator[tuple[str, Json]]:
    for name, template in made.pods.items():
        yield from ((name, each) for each in template["spec"]["containers"])


def _is_chosen(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether a selector of the API chooses what has these labels."""
    expressions = selector.get("matchExpressions", ())
    assert all(each["operator"] == "In" for each in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def _quantity(text: str) -> float:
    number = text.rstrip("GMi")
    return float(number) * UNITS[text.removeprefix(number)]


# What the API would say


def test_each_object_is_as_the_oldest_and_the_newest_api_have_it(made: Made) -> None:
    alike = {json.dumps({**each, "metadata": {}}, sort_keys=True, default=str): each for each in made.of_kind(*PATHS)}
    for manifest in alike.values():
        kubernetes_validate.validate(manifest, NEWEST, strict=True)
    for manifest in {each["kind"]: each for each in alike.values()}.values():
        kubernetes_validate.validate(manifest, OLDEST, strict=True)


def test_all_is_in_the_stacks_namespace_under_names_that_can_be(made: Made) -> None:
    longest = {"CronJob": 52, "StatefulSet": 52}  # as they name Jobs and labels after themselves
    identities = [(each["kind"], _name(each)) for each in made.manifests]
    assert len(set(identities)) == len(identities)
    for manifest in made.manifests:
        assert manifest["metadata"]["namespace"] == made.stack.settings.kubernetes.namespace
        assert DNS_LABEL.fullmatch(_name(manifest))
        assert len(_name(manifest)) <= longest.get(manifest["kind"], 63)


def test_what_a_stack_is_made_of(stacks: dict[str, Made]) -> None:
    found = {kind: {_name(each) for each in stacks["varied"].of_kind(kind)} for kind in WORKLOADS | {"Service"}}
    parts = {"main", "time-scale", "session-store", "cache", "pgadmin", "agent"}
    assert found == {
        "StatefulSet": parts,
        "Service": parts,
        "Deployment": {"toolbox"},
        "CronJob": {
            *(f"{name}-backup" for name in ("auth-service", "ticks", "session-store", "cache")),
            *(f"{name}-drill" for name in ("auth-service", "ticks")),
        },
    }
    assert {_name(each) for each in stacks["smallest"].of_kind(*WORKLOADS)} == {
        "main",
        "toolbox",
        "auth-service-backup",
        "auth-service-drill",
    }


def test_the_shipped_stacks_have_all_databases_and_a_backup_and_a_drill_of_each(stacks: dict[str, Made]) -> None:
    for name, count in (("dev", 1), ("prod", 3)):  # of Redis
        made = stacks[name]
        assert len(made.stack.databases) == 10
        assert len(made.of_kind("CronJob")) == 10 + 10 + count
        assert len(made.of_kind("StatefulSet")) == 2 + count + 2


# Pods


def test_each_pod_is_what_pod_security_calls_restricted(made: Made) -> None:
    for template in made.pods.values():
        spec = template["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec["volumes"]:
            assert (volume.keys() - {"name"}) < RESTRICTED_VOLUMES
    for _, container in _containers(made):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert set(context["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"}
        assert not any("hostPort" in port for port in container.get("ports", ()))


def test_only_pgadmins_official_image_has_a_capability_as_it_does_not_run_without(stacks: dict[str, Made]) -> None:
    for made in stacks.values():
        found = {name for name, each in _containers(made) if "add" in each["securityContext"]["capabilities"]}
        assert found == made.pods.keys() & {"pgadmin"}


def test_each_part_has_an_account_of_its_own_without_a_token_or_a_right(made: Made) -> None:
    accounts = {_name(each): each for each in made.of_kind("ServiceAccount")}
    for name, template in made.pods.items():
        account = template["spec"]["serviceAccountName"]
        assert account == names.of(template["metadata"]["labels"][names.PART_LABEL])
        assert accounts[account]["automountServiceAccountToken"] is False
        urns = [urn for urn, each in made.options.items() if each.name == f"{account}-account"]
        assert {*urns} < made.waits_for(made.urn_of(name, f":{made.kind_of(name)}"))
    assert not [each["kind"] for each in made.manifests if "Role" in each["kind"]]


def test_no_pod_has_a_token_or_a_root_that_can_be_written(made: Made) -> None:
    for template in made.pods.values():
        assert template["spec"]["automountServiceAccountToken"] is False
        assert template["spec"]["enableServiceLinks"] is False
    for _, container in _containers(made):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_each_mount_has_its_volume_and_each_volume_its_mount(made: Made) -> None:
    for template in made.pods.values():
        mounted = [each["name"] for container in template["spec"]["containers"] for each in container["volumeMounts"]]
        assert sorted(mounted) == sorted(each["name"] for each in template["spec"]["volumes"])
        paths = [each["mountPath"] for each in template["spec"]["containers"][0]["volumeMounts"]]
        assert len(set(paths)) == len(paths)


def test_secrets_are_mounted_for_reading_and_for_the_pods_group_alone(made: Made) -> None:
    for template in made.pods.values():
        secret = {each["name"]: each["secret"] for each in template["spec"]["volumes"] if "secret" in each}
        assert all(each["defaultMode"] == 0o440 for each in secret.values())
        mounts = template["spec"]["containers"][0]["volumeMounts"]
        assert all(each["readOnly"] for each in mounts if each["name"] in secret)


def test_a_claim_that_a_pod_mounts_is_made_by_the_stack(made: Made) -> None:
    claims = {each["claim"] for name, each in made.inputs.items() if "claim" in each}
    for template in made.pods.values():
        for volume in template["spec"]["volumes"]:
            assert volume.get("persistentVolumeClaim", {"claimName": "backups"})["claimName"] in claims


def test_a_pod_is_given_the_memory_that_it_asks_for(made: Made) -> None:
    for _, container in _containers(made):
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        assert "cpu" in resources["requests"]
        assert resources["limits"].get("cpu", resources["requests"]["cpu"]) == resources["requests"]["cpu"]


def test_what_a_stack_is_taken_to_ask_for_is_what_its_objects_ask_for(made: Made) -> None:
    found = dict.fromkeys(("cpus", "memory", "storage", "pods"), 0.0)
    for workload in made.of_kind(*WORKLOADS):
        strategy = workload["spec"].get("strategy", {})
        ends_first = strategy.get("type") == "Recreate" or strategy.get("rollingUpdate", {}).get("maxSurge") == 0
        surge = workload["kind"] == "Deployment" and not ends_first
        count = workload["spec"].get("replicas", 1) + surge
        (container,) = _template(workload)["spec"]["containers"]
        found["pods"] += count
        found["cpus"] += count * _quantity(container["resources"]["requests"]["cpu"])
        found["memory"] += count * _quantity(container["resources"]["requests"]["memory"])
    found["storage"] = sum(_quantity(made.inputs[name]["size"]) for name in _volumes(made))
    assert demand.asked(made.stack.settings, made.stack.databases) == pytest.approx(found)


def test_a_quota_bounds_the_namespace_and_gives_those_who_say_nothing_a_limit(stacks: dict[str, Made]) -> None:
    (bounds,) = stacks["varied"].of_kind("ResourceQuota")
    assert bounds["spec"]["hard"] == {
        "requests.cpu": "2.7",
        "requests.memory": "14Gi",
        "limits.memory": "14Gi",
        "requests.storage": "57Gi",
        "pods": "13",
    }
    (usual,) = stacks["varied"].of_kind("LimitRange")
    assert usual["spec"]["limits"] == [
        {
            "type": "Container",
            "defaultRequest": {"memory": "256Mi", "cpu": "0.1"},
            "default": {"memory": "256Mi"},
        }
    ]
    assert not stacks["prod"].of_kind("ResourceQuota", "LimitRange")


def test_what_lies_in_memory_leaves_room_for_the_program(made: Made) -> None:
    for name, template in made.pods.items():
        in_memory = sum(
            _quantity(each["emptyDir"]["sizeLimit"]) for each in template["spec"]["volumes"] if "emptyDir" in each
        )
        limit = _quantity(template["spec"]["containers"][0]["resources"]["limits"]["memory"])
        assert in_memory < limit or made.stack.settings.settings_of_parts[name].memory


def test_a_server_may_take_what_the_settings_say(stacks: dict[str, Made]) -> None:
    found = {
        (stack, name): container["resources"]["limits"]
        for stack in ("dev", "prod", "varied")
        for name, container in _containers(stacks[stack])
        if name in {"main", "timescale", "time-scale"}
    }
    assert found == {
        ("dev", "main"): {"memory": "2048Mi"},
        ("dev", "timescale"): {"memory": "2048Mi"},
        ("prod", "main"): {"memory": "8192Mi", "cpu": "2"},
        ("prod", "timescale"): {"memory": "8192Mi", "cpu": "2"},
        ("varied", "main"): {"memory": "900Mi", "cpu": "1.5"},
        ("varied", "time-scale"): {"memory": "2048Mi"},
    }


def test_a_redis_may_take_twice_its_memory_unless_the_settings_say_another(stacks: dict[str, Made]) -> None:
    limits = {name: each["resources"]["limits"]["memory"] for name, each in _containers(stacks["varied"])}
    assert (limits["session-store"], limits["cache"]) == ("1024Mi", "64Mi")


def test_three_probes_that_differ_see_each_part(made: Made) -> None:
    for name, container in _containers(made):
        probes = [container.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")]
        if "ports" not in container:  # the toolbox and the jobs serve nobody
            assert probes == [None, None, None], name
            continue
        startup, readiness, liveness = probes
        assert startup != readiness != liveness != startup
        assert readiness.get("exec") or readiness["httpGet"]["port"] == container["ports"][0]["containerPort"]
        assert "exec" not in liveness, "a part that is busy must not be killed for it"
        assert readiness["timeoutSeconds"] * readiness["failureThreshold"] > 0
        listens_on = [each["containerPort"] for each in container["ports"]]
        assert [probe["tcpSocket"]["port"] for probe in (startup, liveness)] == listens_on * 2


def test_no_variable_is_given_twice_or_from_a_secret(made: Made) -> None:
    for _, container in _containers(made):
        variables = [each["name"] for each in container["env"]]
        assert len(set(variables)) == len(variables)
        assert all(each.keys() == {"name", "value"} for each in container["env"])
        assert "envFrom" not in container


def test_a_server_has_time_to_recover_and_to_end(made: Made) -> None:
    for name in made.stack.settings.servers:
        spec = made.pods[names.of(name)]["spec"]
        container = spec["containers"][0]
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 600
        assert spec["terminationGracePeriodSeconds"] >= 60
        assert "kill -INT 1" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    for name in made.stack.settings.redis:
        assert made.pods[names.of(name)]["spec"]["terminationGracePeriodSeconds"] >= 60


def test_each_image_is_one_and_the_same_on_every_node(made: Made) -> None:
    for _, container in _containers(made):
        assert FIXED_IMAGE.fullmatch(container["image"])
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_own_images_run_as_their_user_and_are_got_with_the_pull_secrets(stacks: dict[str, Made]) -> None:
    for template in stacks["varied"].pods.values():
        context = template["spec"]["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (4000, 4001, 4001)
        assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert not any("imagePullSecrets" in each["spec"] for each in stacks["dev"].pods.values())


def test_what_mounts_the_backups_runs_beside_the_toolbox(made: Made) -> None:
    toolbox = made.parts["toolbox"]
    for name, template in made.pods.items():
        claims = {each.get("persistentVolumeClaim", {}).get("claimName") for each in template["spec"]["volumes"]}
        affinity = template["spec"].get("affinity", {}).get("podAffinity", {})
        terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", [])
        assert len(terms) == ("backups" in claims and name != "toolbox")
        assert all(_is_chosen(each["labelSelector"], toolbox) for each in terms)


# Workloads, Services and their pods


def test_each_selector_chooses_its_own_pods_and_no_others(made: Made) -> None:
    for manifest in made.of_kind("StatefulSet", "Deployment", "Service"):
        selector = manifest["spec"]["selector"]
        selector = {"matchLabels": selector} if manifest["kind"] == "Service" else selector
        chosen = {name for name, each in made.pods.items() if _is_chosen(selector, each["metadata"]["labels"])}
        assert chosen == {_name(manifest)}
        assert selector["matchLabels"].keys() <= SELECTED_BY, "what a selector reads can never change"


def test_a_service_leads_to_the_port_on_which_its_pod_listens(made: Made) -> None:
    kinds = made.stack.settings.parts
    assert {_name(each) for each in made.of_kind("Service")} == {names.of(name) for name in kinds}
    for name, kind in kinds.items():
        service = next(each for each in made.of_kind("Service") if _name(each) == names.of(name))
        container = made.pods[names.of(name)]["spec"]["containers"][0]
        assert [each["port"] for each in service["spec"]["ports"]] == [PORTS[kind]]
        assert [each["containerPort"] for each in container["ports"]] == [PORTS[kind]]
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_a_pod_that_never_gets_ready_does_not_keep_an_edit_from_the_next_one(made: Made) -> None:
    for workload in made.of_kind("StatefulSet"):
        assert workload["spec"]["podManagementPolicy"] == "Parallel"
        assert workload["spec"]["replicas"] == 1
        assert workload["spec"]["serviceName"] == _name(workload)


def test_all_has_the_labels_that_are_recommended(made: Made) -> None:
    metadata = [each["metadata"] for each in made.manifests]
    metadata += [each["metadata"] for each in made.pods.values()]
    metadata += [each["spec"]["jobTemplate"]["metadata"] for each in made.of_kind("CronJob")]
    for each in metadata:
        labels = each["labels"]
        assert labels.keys() >= OWN_LABELS | {names.STACK_LABEL, names.PART_LABEL}
        assert labels["app.kubernetes.io/instance"] == labels[names.STACK_LABEL]
        assert all(re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", text) for text in labels.values())


def test_no_single_pod_is_guarded_from_a_drain_or_from_its_own_kind(made: Made) -> None:
    assert not made.of_kind("PodDisruptionBudget")
    for template in made.pods.values():
        assert "podAntiAffinity" not in template["spec"].get("affinity", {})
        assert "topologySpreadConstraints" not in template["spec"]


def test_a_backup_runs_once_at_a_time_in_its_zone_and_ends(made: Made) -> None:
    for cron_job in made.of_kind("CronJob"):
        spec, run = cron_job["spec"], cron_job["spec"]["jobTemplate"]["spec"]
        assert (spec["concurrencyPolicy"], spec["timeZone"]) == ("Forbid", "UTC")
        assert spec["startingDeadlineSeconds"] >= 100
        assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 5)
        assert run["backoffLimit"] in {1, 2}
        assert run["podFailurePolicy"]["rules"][0]["action"] == "Ignore", "one that is evicted uses up no attempt"
        assert 0 < run["activeDeadlineSeconds"] <= 24 * 3600
        assert run["template"]["spec"]["restartPolicy"] == "Never"
        assert cron_job["metadata"]["labels"][names.JOB_LABEL] == run["template"]["metadata"]["labels"][names.JOB_LABEL]


def _schedules(made: Made, part: str) -> dict[str, str]:
    cron_jobs = [each for each in made.of_kind("CronJob") if each["metadata"]["labels"][names.PART_LABEL] == part]
    return {_name(each): each["spec"]["schedule"] for each in cron_jobs}


def test_drills_are_due_with_the_backups_in_dev_and_else_weekly_at_a_minute_of_their_own(
    stacks: dict[str, Made],
) -> None:
    backups = _schedules(stacks["varied"], "backup")
    assert _schedules(stacks["varied"], "drill") == {
        f"{name}-drill": backups[f"{name}-backup"] for name in ("auth-service", "ticks")
    }
    weekly = _schedules(stacks["prod"], "drill").values()
    assert all(re.fullmatch(r"[12]?\d 4 \* \* 0", each) for each in weekly)
    assert len({*weekly}) > 1


def test_a_drill_reaches_names_and_servers_of_other_packages_and_knows_its_job(stacks: dict[str, Made]) -> None:
    made = stacks["varied"]
    labels = made.pods["auth-service-drill"]["metadata"]["labels"]
    reaching = {
        _name(each) for each in made.of_kind("NetworkPolicy") if _is_chosen(each["spec"]["podSelector"], labels)
    }
    assert reaching == {"closed", "names", "drills"}
    written = made.inputs["auth_service-drill"]
    assert (written["name"], written["schedule"]) == ("auth_service", _schedules(made, "drill")["auth-service-drill"])


def test_backups_that_nobody_gave_a_time_begin_at_a_minute_that_is_always_theirs(stacks: dict[str, Made]) -> None:
    found = _schedules(stacks["varied"], "backup")
    assert len({*found.values()}) == len(found)
    assert all(re.fullmatch(r"[12]?\d 2 \* \* \*", each) for each in found.values())
    own = _schedules(stacks["smallest"], "backup")
    assert own == {"auth-service-backup": found["auth-service-backup"]}, "it does not hang on what else there is"


def test_another_password_that_the_user_chose_is_a_change_of_all_that_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "sql" / "auth_service"
    (folder / "migrations").mkdir(parents=True)
    (folder / "database.yaml").write_text("server: main\n")
    roles = RoleNames("auth_service")
    chosen = {roles.app_a: "one", roles.readonly_a: "two"}
    clients = SMALLEST["kubernetes"] | {"clients": {"shop": ["auth_service"]}}
    settings = SMALLEST | {"passwords": chosen, "pgadmin": {}, "kubernetes": clients}
    settings |= {"redis": {"cache": {"passwords": {"auth_service_app": "three"}}}}
    made = make(read(tmp_path, "chosen", settings))
    assert made.inputs["pgadmin-files"]["uses"]["value"] == {roles.readonly_a: "two"}
    assert made.inputs["shop-auth_service"]["uses"]["value"] == {roles.app_a: "one", "cache": "three"}
    assert "uses" not in made.inputs["cache-files"]


def test_no_password_stands_in_an_object(made: Made) -> None:
    assert PASSWORD not in json.dumps(made.manifests, default=str)


# Who reaches whom


class Network:
    """What a stack's NetworkPolicies let through."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.policies = [each["spec"] for each in made.of_kind("NetworkPolicy")]

    def lets(self, source: str, aim: str, port: int) -> bool:
        """Say whether pods of the part `source` (or of a namespace, as in `shop/`) reach those of the part `aim`."""
        within = not source.endswith("/")
        return (not within or self._lets("egress", "to", source, aim, port)) and self._lets(
            "ingress", "from", aim, source, port
        )

    def _lets(self, way: str, peers: str, part: str, peer: str, port: int) -> bool:
        policies = [each for each in self.policies if way.capitalize() in each["policyTypes"]]
        of_part = [each for each in policies if _is_chosen(each["podSelector"], self.made.parts[part])]
        rules = [rule for each in of_part for rule in each.get(way, ())]
        return not of_part or any(
            port in [each["port"] for each in rule.get("ports", [{"port": port}])]
            and any(self._is_peer(each, peer) for each in rule.get(peers, [{"podSelector": {}}]))
            for rule in rules
        )

    def _is_peer(self, selector: Json, peer: str) -> bool:
        if peer.endswith("/"):
            of_namespace = {"kubernetes.io/metadata.name": peer[:-1]}
            return "namespaceSelector" in selector and _is_chosen(selector["namespaceSelector"], of_namespace)
        return "namespaceSelector" not in selector and _is_chosen(selector["podSelector"], self.made.parts[peer])


def test_each_policy_chooses_pods_that_there_are(made: Made) -> None:
    for policy in made.of_kind("NetworkPolicy"):
        selectors = [policy["spec"]["podSelector"]]
        for rule in policy["spec"].get("ingress", ()):
            assert rule["from"], "an empty list lets everybody in"
            selectors += [each["podSelector"] for each in rule["from"] if "podSelector" in each]
        for selector in selectors:
            assert any(_is_chosen(selector, labels) for labels in made.parts.values()), _name(policy)


def test_nothing_is_open_but_what_is_opened(made: Made) -> None:
    closed = [each["spec"] for each in made.of_kind("NetworkPolicy") if not each["spec"]["podSelector"]]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in closed
    assert not any("ingress" in each for each in closed)


def test_the_stacks_own_tools_reach_what_they_ask_and_nothing_else_does(made: Made) -> None:
    network, kinds = Network(made), made.stack.settings.parts
    asked_by = {
        "server": {"toolbox", "agent", "backup", "pgadmin"},
        "redis": {"toolbox", "agent", "backup"},
        "pgadmin": {"toolbox", "agent"},
        "agent": {"toolbox"},
        "postgres-exporter": {"toolbox", "agent"},
        "redis-exporter": {"toolbox", "agent"},
    }
    for aim, kind in kinds.items():
        found = {source for source in made.parts if network.lets(source, aim, PORTS[kind])} - {"drill"}
        assert found == {*asked_by[kind], f"{aim}-exporter"} & made.parts.keys(), aim
        assert not network.lets("stranger/", aim, PORTS[kind])
        assert not network.lets("toolbox", aim, 22)


def test_a_drill_reaches_servers_of_other_packages_than_its_own_and_nothing_else(tmp_path: Path) -> None:
    servers = {"main": {"preferred_port": 5432}, "times": {"preferred_port": 5433, "timescaledb": True}}
    of_images: dict[str, Json] = {
        "official": {"images": "official"},
        "debian": {"images": "debian"},
        "own": {"images": "debian", "image": {"timescaledb": "registry.example/times:17"}},
    }
    reached, root = {}, write_project(tmp_path)
    for name, images in of_images.items():
        settings = SMALLEST | {
            "servers": servers,
            "kubernetes": images | {"image": SMALLEST["kubernetes"]["image"] | images.get("image", {})},
        }
        made = make(read(root, name, settings))
        kinds = made.stack.settings.parts
        reached[name] = [aim for aim, kind in kinds.items() if Network(made).lets("drill", aim, PORTS[kind])]
    assert reached == {"official": ["main", "times"], "debian": [], "own": ["times"]}


def test_a_client_reaches_the_servers_of_its_services_and_every_redis(stacks: dict[str, Made]) -> None:
    network = Network(stacks["varied"])
    kinds = stacks["varied"].stack.settings.parts
    found = {
        client: {aim for aim, kind in kinds.items() if network.lets(client, aim, PORTS[kind])}
        for client in ("shop/", "desk/", "other/")
    }
    assert found == {
        "shop/": {"main", "session_store", "cache"},
        "desk/": {"main", "time_scale", "session_store", "cache"},
        "other/": set(),
    }


def test_pgadmins_page_is_reached_by_its_proxy_alone_and_knows_its_name(stacks: dict[str, Made]) -> None:
    made = stacks["varied"]
    (ingress,) = made.of_kind("Ingress")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"hosts": ["db.example.com"], "secretName": "db-tls"}]
    assert ingress["metadata"]["annotations"]["example.com/limit"] == "10"
    network = Network(made)
    assert network.lets("web/", "pgadmin", PORTS["pgadmin"])
    assert not any(network.lets("ingress-nginx/", aim, port) for aim, port in (("pgadmin", 5050), ("main", 5432)))
    told = {each["name"]: each["value"] for each in made.pods["pgadmin"]["spec"]["containers"][0]["env"]}
    assert "'db.example.com'" in told["PGADMIN_CONFIG_ALLOWED_HOSTS"]
    assert told["PGADMIN_CONFIG_SESSION_COOKIE_SECURE"] == "True"
    assert (told["PGADMIN_CONFIG_PROXY_X_FOR_COUNT"], told["PGADMIN_CONFIG_PROXY_X_HOST_COUNT"]) == ("1", "0")


def test_pgadmin_asks_the_issuer_of_its_logins_by_its_port_alone(stacks: dict[str, Made]) -> None:
    (policy,) = [each for each in stacks["varied"].of_kind("NetworkPolicy") if _name(each) == "issuer"]
    assert policy["spec"]["egress"] == [{"ports": [{"port": 8443, "protocol": "TCP"}]}]
    told = {each["name"]: each["value"] for each in stacks["varied"].pods["pgadmin"]["spec"]["containers"][0]["env"]}
    assert told["PGADMIN_CONFIG_AUTHENTICATION_SOURCES"] == "['oauth2']"
    assert "form-action 'self' https://id.example.com:8443;" in told["PGADMIN_CONFIG_CONTENT_SECURITY_POLICY"]


def test_tools_ask_a_bucket_and_tell_a_webhook_by_their_ports_alone(tmp_path: Path, stacks: dict[str, Made]) -> None:
    backup = {
        "bucket": {"name": "shop", "access_key": "key"},
        "recipients": [],
        "webhook": "http://ops.example.com:8080/failed",
        "ping": "https://hc-ping.com/KEY/{job}",
    }
    made = make(read(tmp_path, "away", SMALLEST | {"databases": [], "backup": backup}))
    (policy,) = [each["spec"] for each in made.of_kind("NetworkPolicy") if _name(each) == "outside"]
    assert policy["egress"] == [{"ports": [{"port": port, "protocol": "TCP"} for port in (443, 8080)]}]
    (selected,) = policy["podSelector"]["matchExpressions"]
    assert selected["values"] == ["toolbox", "agent", "backup", "drill"]
    assert "outside" not in {_name(each) for each in stacks["varied"].of_kind("NetworkPolicy")}


def test_a_gateway_gets_a_route_in_place_of_an_ingress(tmp_path: Path) -> None:
    gateway = {"host": "db.example.com", "name": "public", "namespace": "gateways"}
    made = make(read(tmp_path, "gated", SMALLEST | {"databases": [], "pgadmin": {"gateway": gateway}}))
    assert not made.of_kind("Ingress")
    (route,) = made.of_kind("HTTPRoute")
    assert route["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["db.example.com"],
        "rules": [{"backendRefs": [{"name": "pgadmin", "port": 5050}]}],
    }
    assert Network(made).lets("gateways/", "pgadmin", PORTS["pgadmin"])


def test_passwords_from_outside_are_there_before_what_uses_them_and_stand_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "sql" / "auth_service"
    (folder / "migrations").mkdir(parents=True)
    (folder / "database.yaml").write_text("server: main\n")
    outside = {
        "store": "vault",
        "kind": "ClusterSecretStore",
        "passwords": {"auth_service_app_a": {"key": "keelson/auth", "property": "password"}},
    }
    given = SMALLEST["kubernetes"] | {"external_secrets": outside, "clients": {"shop": ["auth_service"]}}
    made = make(read(tmp_path, "outside", SMALLEST | {"kubernetes": given}))
    (secret,) = made.of_kind("ExternalSecret")
    remote = {"key": "keelson/auth", "property": "password"}
    assert secret["spec"] == {
        "refreshInterval": "1h",
        "secretStoreRef": {"name": "vault", "kind": "ClusterSecretStore"},
        "target": {"name": "keelson-passwords", "creationPolicy": "Owner"},
        "data": [{"secretKey": "auth_service_app_a", "remoteRef": remote}],
    }
    assert made.inputs["outside-passwords"]["logins"] == {"auth_service_app_a": ["main"]}
    assert made.inputs["outside-ground"]["needs"] == {
        "external-secrets.io/v1/ExternalSecret": "kubernetes.external_secrets"
    }
    taken = made.urn_of("outside-passwords")
    for name in ("auth_service-roles", "main-files", "shop-auth_service"):
        assert taken in made.waits_for(made.urn_of(name)), name
    assert made.inputs["auth_service-roles"]["mark"] == "m-t", "another password is a change"
    assert "needs" not in made.inputs.get("smallest-ground", {})


def test_an_application_is_given_what_its_services_need_once_all_is_open(stacks: dict[str, Made]) -> None:
    made = stacks["varied"]
    found = {each.name for each in made.options.values() if each.type.endswith(":KubernetesApplication")}
    assert found == {"shop-auth_service", "desk-auth_service", "desk-ticks"}
    assert made.inputs["desk-ticks"]["server"] == "time_scale"
    for name in found:
        service = name.partition("-")[2]
        assert made.urn_of(f"{service}-access") in made.waits_for(made.urn_of(name))


def test_logins_of_before_end_when_applications_and_pgadmin_have_the_new_ones(tmp_path: Path) -> None:
    folder = tmp_path / "sql" / "auth_service"
    (folder / "migrations").mkdir(parents=True)
    (folder / "database.yaml").write_text("server: main\n")
    clients = SMALLEST["kubernetes"] | {"clients": {"shop": ["auth_service"]}}
    made = make(
        read(tmp_path, "rotated", SMALLEST | {"rotation": {"auth_service": 2}, "pgadmin": {}, "kubernetes": clients})
    )
    assert made.inputs["shop-auth_service"]["login"] == "auth_service_app_b"
    (entry,) = [each for each in made.inputs["pgadmin-files"]["settings"]["entries"] if each.get("database")]
    assert entry["role"] == "auth_service_readonly_b"
    waited_for = made.waits_for(made.urn_of("auth_service-rotation"))
    for name in ("auth_service-roles", "shop-auth_service", "pgadmin-process"):
        assert made.urn_of(name) in waited_for, name
    before = make(read(tmp_path, "before", SMALLEST | {"kubernetes": clients}))
    assert "login" not in before.inputs["shop-auth_service"], (
        "a service that was never rotated has the inputs of before"
    )


# Settings of resources


def _volumes(made: Made) -> Collection[str]:
    return {name for name, each in made.inputs.items() if "claim" in each}


def test_the_settings_say_how_large_a_volume_is_and_of_which_class(stacks: dict[str, Made]) -> None:
    made = stacks["varied"]
    assert {name: made.inputs[name]["size"] for name in _volumes(made)} == {
        "backups": "7Gi",
        "main-data": "30Gi",
        "time-scale-data": "5Gi",
        "session-store-data": "5Gi",
        "cache-data": "5Gi",
        "pgadmin-data": "5Gi",
    }
    assert {made.inputs[name]["storage_class"] for name in _volumes(made)} == {"fast"}


def test_only_backups_outlive_a_dev_stack(stacks: dict[str, Made]) -> None:
    made = stacks["dev"]
    assert {each.name for each in made.options.values() if each.retainOnDelete} == {"backups"}
    assert not {each.name for each in made.options.values() if each.protect}
    assert made.inputs["dev-ground"]["keeps"] is False
    assert made.inputs["main-files"]["data_stays"] is False


def test_a_protected_stack_keeps_its_volumes_and_its_state(stacks: dict[str, Made]) -> None:
    made = stacks["prod"]
    kept = {*_volumes(made), "prod-ground"}
    assert {"backups", "main-data", "timescale-data", "cache-data", "pgadmin-data"} < kept
    assert {each.name for each in made.options.values() if each.protect} == kept
    assert all(made.options[made.urn_of(name)].retainOnDelete for name in kept)
    assert made.inputs["prod-ground"]["keeps"] is True
    assert made.inputs["main-files"]["data_stays"] is True


def test_what_lies_in_the_state_or_on_a_volume_goes_with_it_unasked(stacks: dict[str, Made]) -> None:
    made = stacks["varied"]
    gone_with = {each.name: each.deletedWith.rpartition("::")[2] for each in made.options.values() if each.deletedWith}
    for name in ("varied_stack-entry", "varied_stack-settings", "main-files", "main-process", "agent-files"):
        assert gone_with[name] == "varied_stack-ground"
    for name in ("auth_service", "auth_service-roles", "auth_service-schema", "auth_service-seeds"):
        assert gone_with[name] == "main-data"
    assert gone_with["ticks"] == "time-scale-data"


def test_the_toolbox_is_there_before_a_database_and_gone_after_it(made: Made) -> None:
    toolbox = made.urn_of("toolbox", ":Deployment")
    for database in made.stack.databases:
        assert toolbox in made.waits_for(made.urn_of(database, "dynamic/keelson:Database")), database
    for part in made.stack.settings.parts:
        files = made.urn_of(f"{part}-files")
        assert toolbox in made.waits_for(files), "a backup is made before another image takes data over"


def test_a_volume_outlives_its_pod_and_the_namespace_all(made: Made) -> None:
    ground = made.urn_of(f"{made.stack.name}-ground")
    for urn, each in made.options.items():
        if each.type.startswith("kubernetes:"):
            assert ground in made.waits_for(urn), urn
    for name in [*made.stack.settings.servers, *made.stack.settings.redis]:
        pod = made.urn_of(names.of(name), ":StatefulSet")
        assert made.urn_of(names.data(name)) in made.waits_for(pod)


def test_the_plugin_is_bound_to_the_context_that_the_settings_name_and_to_no_machine(stacks: dict[str, Made]) -> None:
    given = stacks["varied"].inputs["keelson-varied_stack"]
    assert (given["context"], given["namespace"]) == ("production", "platform")
    assert not any(KUBECONFIG in json.dumps(made.inputs, default=str) for made in stacks.values())


# A real API


@pytest.mark.kubernetes
def test_the_api_takes_each_object_and_a_restricted_namespace_each_pod(
    stacks: dict[str, Made], kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    place = f"kubernetes:dry-run-{secrets.token_hex(3)}"
    found = cluster.connect(place)
    ground.ensure_namespace(place, "dry-run")
    try:
        wait_until(
            lambda: found.get(found.at("serviceaccounts", "default")) is not None, "pods may be made", seconds=60
        )
        for made in stacks.values():
            for account in made.of_kind("ServiceAccount"):  # without which no pod is taken
                body = {**account, "metadata": {"name": _name(account)}}
                found.apply(found.at("serviceaccounts", _name(account)), body)
            for manifest in made.of_kind(*PATHS):
                kind, api = PATHS[manifest["kind"]]
                if kind != "serviceaccounts":
                    _try(found, found.at(kind, api=api), manifest)
            for name, template in made.pods.items():
                _try(
                    found, found.at("pods"), {"kind": "Pod", "apiVersion": "v1", **template, "metadata": {"name": name}}
                )
    finally:
        found.delete(f"/api/v1/namespaces/{found.namespace}")


def _try(found: Cluster, path: str, manifest: Json) -> None:
    metadata = {**manifest["metadata"], "namespace": found.namespace}
    found._change("POST", path, {**manifest, "metadata": metadata}, dryRun="All")
