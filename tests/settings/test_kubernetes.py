"""Settings of target kubernetes: what cannot be there is one sentence that names the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keelson.errors import SettingsError
from keelson.settings.pooler import PoolerSettings
from keelson.settings.quantities import count_quantity
from keelson.settings.stack import Stack, read_stack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("auth", "portfolio"):
        folder = tmp_path / "sql" / name
        folder.mkdir(parents=True)
        (folder / "database.yaml").write_text("server: main\n")
    return tmp_path


def read(root: Path, name: str = "dev", **settings: Any) -> Stack:
    given = {"environment": "dev", "target": "kubernetes"} | settings
    config = {f"keelson:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    return read_stack(config, "keelson", name, root)


@pytest.mark.parametrize(
    ("stack", "namespace"),
    [
        ("prod", "keelson-prod"),
        ("PR_123.x", "keelson-pr-123-x"),
        ("x" * 54 + "_" + "y", "keelson-" + "x" * 54),  # 63 characters are left, and no dash ends them
    ],
)
def test_the_namespace_is_the_stacks_key_where_none_is_named(root: Path, stack: str, namespace: str) -> None:
    found = read(root, stack).settings
    assert found.kubernetes.namespace == namespace
    assert found.place == f"kubernetes:{namespace}"


def test_a_place_names_the_context_where_the_settings_do(root: Path) -> None:
    found = read(root, kubernetes={"namespace": "platform", "context": "admin@production"}).settings
    assert found.place == "kubernetes:platform@admin@production"


def test_another_target_has_no_namespace(root: Path) -> None:
    assert read(root, target="local").settings.kubernetes.namespace is None


@pytest.mark.parametrize(
    ("kubernetes", "sentence"),
    [
        ({"namespace": "Platform"}, "'keelson:kubernetes.namespace' is wrong"),
        ({"namespace": "platform-"}, "'keelson:kubernetes.namespace' is wrong"),
        ({"namespace": "x" * 64}, "'keelson:kubernetes.namespace' is wrong"),
        ({"namespace": "platform\n"}, "'keelson:kubernetes.namespace' is wrong"),
        ({"context": "two words"}, "'keelson:kubernetes.context' is wrong"),
        ({"storage": "10GB"}, "'keelson:kubernetes.storage' is wrong"),
        ({"storage": "0Gi"}, "'keelson:kubernetes.storage' is wrong"),
        ({"storage": 10}, "'keelson:kubernetes.storage' is wrong"),
        ({"backup_storage": "1.5Gi"}, "'keelson:kubernetes.backup_storage' is wrong"),
        ({"clients": ["shop"]}, "'keelson:kubernetes.clients' is wrong: write keys such as `name: value`"),
        ({"clients": {"Shop": ["auth"]}}, "'keelson:kubernetes.clients.Shop.[key]' is wrong"),
        ({"clients": {"shop": "auth"}}, "'keelson:kubernetes.clients.shop' is wrong: write a list"),
        ({"pull_secrets": "registry"}, "'keelson:kubernetes.pull_secrets' is wrong: write a list"),
        ({"image": {"agent": {"uid": 0}}}, "keelson:kubernetes.image.agent"),
        ({"namspace": "x"}, "unknown setting 'keelson:kubernetes.namspace'; did you mean 'namespace'?"),
    ],
)
def test_a_wrong_key_of_the_cluster_is_one_sentence(root: Path, kubernetes: dict[str, Any], sentence: str) -> None:
    refused(root, sentence, kubernetes=kubernetes)


def refused(root: Path, sentence: str, **settings: Any) -> None:
    with pytest.raises(SettingsError) as fault:
        read(root, **settings)
    assert str(fault.value).startswith("Pulumi.dev.yaml: ")
    assert sentence in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("clients", "sentence"),
    [
        (
            {"shop": ["auth", "portfoilo"]},
            "'keelson:kubernetes.clients.shop' names 'portfoilo', but the stack has auth, portfolio",
        ),
        ({"shop": ["auth", "auth"]}, "'keelson:kubernetes.clients.shop' names 'auth' twice; take one out"),
        (
            {"keelson-dev": ["auth"]},
            "'keelson:kubernetes.clients' names keelson-dev, the stack's own namespace, which is closed to applications",
        ),
    ],
)
def test_a_client_that_cannot_be_served_is_refused(root: Path, clients: dict[str, Any], sentence: str) -> None:
    refused(root, sentence, kubernetes={"clients": clients})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"servers": {"main": {}, "main_": {}}}, "'keelson:servers.main_' cannot be the name of a Service"),
        ({"servers": {"main": {}, "x" * 41: {}}}, f"'keelson:servers.{'x' * 41}' cannot be the name of a Service"),
        ({"redis": {"cache_": {}}}, "'keelson:redis.cache_' cannot be the name of a Service"),
        ({"redis": {"backup": {}}}, "'keelson:redis.backup' has the name of another part"),
        ({"redis": {"drill": {}}}, "'keelson:redis.drill' has the name of another part"),
        ({"servers": {"main": {}, "backup": {}}}, "'keelson:servers.backup' has the name of another part"),
        ({"servers": {"main": {"port": 5432}}}, "'port' of main is for a machine's own ports"),
        (
            {"redis": {"cache": {"memory": "512kb"}}},
            "'memory' of cache is too little for any program; write at least 16mb",
        ),
        ({"agent": {"storage": "1Gi"}}, "'storage' of agent is for a volume, and it has none; take it out"),
        ({"backup": {"directory": "/backups"}}, "'keelson:backup.directory' is for the targets local and docker"),
        ({"servers": {"main": {"data_directory": "/data"}}}, "'keelson:servers.main.data_directory' is for the target"),
    ],
)
def test_what_a_cluster_could_not_hold_to_is_refused(root: Path, settings: dict[str, Any], sentence: str) -> None:
    refused(root, sentence, **settings)


@pytest.mark.parametrize(
    ("quota", "sentence"),
    [
        ({"memory": "9Gi"}, "asks for 10.75Gi of memory, with all backups and drills at once, and the setting 'keelson:kubernetes.quota.memory' allows 9Gi"),
        ({"cpus": 1.05}, "asks for 1.1 cpus, with all backups and drills at once, and the setting 'keelson:kubernetes.quota.cpus' allows 1.05 cpus"),
        ({"storage": "59Gi"}, "asks for 60Gi of storage and the setting 'keelson:kubernetes.quota.storage' allows 59Gi of storage; raise it"),
        ({"pods": 10}, "asks for 11 pods, with all backups and drills at once, and the setting 'keelson:kubernetes.quota.pods' allows 10 pods; raise it"),
    ],
)  # fmt: skip
def test_a_stack_that_asks_for_more_than_its_quota_is_refused(root: Path, quota: dict[str, Any], sentence: str) -> None:
    refused(root, sentence, kubernetes={"quota": quota})
    assert read(root, kubernetes={"quota": {"cpus": 1.1, "memory": "11008Mi", "storage": "60Gi", "pods": 11}})
    without = {"quota": {"cpus": 0.9, "memory": "9472Mi", "storage": "60Gi", "pods": 9}}
    assert read(root, kubernetes=without, backup={"drill": "never"})


def test_instances_and_their_volumes_count_for_a_quota(root: Path) -> None:
    several = {"ha": True, "quota": {"pods": 12, "storage": "120Gi"}}
    alone = {"redis": {"ha": False}}
    refused(
        root, "the stack asks for 13 pods", kubernetes=several | {"instances": 3}, servers={"main": {}}, redis=alone
    )
    with_two = several | {"instances": 2}
    assert read(root, kubernetes=with_two, servers={"main": {}}, redis=alone).settings.instances_of("main") == 2
    refused(root, "the stack asks for 120Gi of storage", kubernetes={**with_two, "quota": {"storage": "119Gi"}}, servers={"main": {"storage": "35Gi"}}, redis=alone)  # fmt: skip


def test_what_stands_beside_the_instances_of_a_redis_counts_too(root: Path) -> None:
    several, servers = {"redis": {"ha": True, "instances": 3}}, {"main": {}}
    refused(root, "the stack asks for 14 pods", kubernetes={"quota": {"pods": 13}}, servers=servers, redis=several)
    refused(
        root,
        "the stack asks for 10.31Gi of memory",
        kubernetes={"quota": {"memory": "1Gi"}},
        servers=servers,
        redis=several,
    )


OUTSIDE = {"store": "vault", "passwords": {"auth_app_a": {"key": "keelson/auth"}}}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"passwords": {"nobody": {"key": "x"}}}, "external_secrets.passwords.nobody' names no login of the stack's services"),
        ({"passwords": {}}, "'keelson:kubernetes.external_secrets.passwords' is wrong"),
        ({"refresh": "soon"}, "'keelson:kubernetes.external_secrets.refresh' is wrong"),
        ({"kind": "Vault"}, "'keelson:kubernetes.external_secrets.kind' is wrong"),
    ],
)  # fmt: skip
def test_a_password_from_outside_is_of_a_login_and_of_a_store(root: Path, given: dict[str, Any], sentence: str) -> None:
    refused(root, sentence, kubernetes={"external_secrets": OUTSIDE | given})


def test_a_password_is_either_chosen_or_from_outside(root: Path) -> None:
    sentence = (
        "external_secrets.passwords.auth_app_a' and 'keelson:passwords.auth_app_a' exclude each other; take one out"
    )
    refused(root, sentence, kubernetes={"external_secrets": OUTSIDE}, passwords={"auth_app_a": "chosen"})
    assert read(root, kubernetes={"external_secrets": OUTSIDE}, passwords={"auth_app_b": "chosen"})


@pytest.mark.parametrize(
    ("postgres", "memory"),
    [("1025MB", "2gb"), ("131073", "2gb"), ("1.1GB", "2gb"), ("1100000kB", None), ("0x20001", None), ("64MB", "100mb")],
)
def test_shared_buffers_over_half_of_a_servers_memory_are_refused(
    root: Path, postgres: str, memory: str | None
) -> None:
    servers = {"main": {"memory": memory, "postgres": {"shared_buffers": postgres}}}
    images = {"docker": {"images": "debian"}}
    for target in ("kubernetes", "docker"):
        refused(root, f"'shared_buffers' of main is {postgres}, more than half", servers=servers, target=target, **images)  # fmt: skip
    assert read(root, target="local", servers={"main": {"postgres": {"shared_buffers": postgres}}})


@pytest.mark.parametrize("postgres", ["1GB", "1024MB", "131072", " 0.5 GB ", "many", "1gb", "12 parsecs"])
def test_others_are_left_to_postgresql(root: Path, postgres: str) -> None:
    assert read(root, servers={"main": {"memory": "2gb", "postgres": {"shared_buffers": postgres}}})


def test_a_redis_that_may_hold_more_than_half_of_its_memory_is_refused(root: Path) -> None:
    sentence = "'maxmemory' of cache is 300mb, more than half of the 512 MB that it may take; set 256MB or less, or more 'memory' for cache"
    refused(root, sentence, redis={"cache": {"maxmemory": "300mb", "memory": "512mb"}})
    assert read(root, redis={"cache": {"maxmemory": "256mb", "memory": "512mb"}})


@pytest.mark.parametrize(
    "schedule", ["0 2 * * 7", "0 2 * * 5-7", "0 2 * * 1,7", "0 2 L * *", "0 2 * * 5L", "0 2 * * MON#1"]
)
def test_a_schedule_that_no_cron_job_knows_is_refused(root: Path, schedule: str) -> None:
    sentence = (
        f"the backup of portfolio has the schedule {schedule!r}, which a CronJob does not know; write Sunday as 0"
    )
    (root / "sql/portfolio/database.yaml").write_text(f"server: main\nbackup: {{schedule: {schedule!r}}}\n")
    refused(root, sentence)
    refused(root, "the backup of auth has", backup={"schedule": schedule})
    (root / "sql/portfolio/database.yaml").write_text(f"server: main\nbackup: {{drill: {schedule!r}}}\n")
    refused(root, f"the drill of portfolio has the schedule {schedule!r}")
    assert read(root, target="local").databases


def test_a_schedule_that_is_set_is_kept_and_others_differ_by_some_minutes(root: Path) -> None:
    (root / "sql/portfolio/database.yaml").write_text("server: main\nbackup: {schedule: '0 2 * * *'}\n")
    spread = read(root)
    assert spread.backup_of("portfolio").schedule == "0 2 * * *"
    assert spread.backup_of("auth").schedule == "4 2 * * *"
    for each in (read(root, backup={"schedule": "0 2 * * *"}), read(root, target="local")):
        assert each.backup_of("auth").schedule == "0 2 * * *"


@pytest.mark.parametrize("schedule", ["7 17 7 7 *", "*/7 0 * JUL SUN", "0 2 * * 0-6/7", "0 2 * * MON-FRI"])
def test_all_other_schedules_are_taken(root: Path, schedule: str) -> None:
    assert read(root, backup={"schedule": schedule}).settings.backup.schedule == schedule


@pytest.mark.parametrize(
    "reference", ["registry.example/keelson/agent", "registry.example:5000/agent", "registry.example/agent:latest"]
)
def test_an_image_that_may_be_another_one_tomorrow_is_refused(root: Path, reference: str) -> None:
    refused(root, f"'keelson:kubernetes.image.agent' names {reference}", kubernetes={"image": {"agent": reference}})


def test_an_image_by_tag_or_digest_is_taken(root: Path) -> None:
    digest = "registry.example/postgres@sha256:" + "0" * 64
    images = {"agent": "registry.example:5000/agent:1", "postgres": digest, "redis": "redis:latest@sha256:" + "1" * 64}
    found = read(root, kubernetes={"image": images}).settings.kubernetes.image
    assert {name: each.reference for name, each in found.items()} == images


@pytest.mark.parametrize("other", ["local", "docker"])
def test_a_volumes_size_is_refused_where_volumes_have_none(root: Path, other: str) -> None:
    sentence = f"'storage' of main needs the target kubernetes; take it out for {other}"
    refused(root, sentence, target=other, servers={"main": {"storage": "10Gi"}})


PINNED = "registry.example/ha@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"synchronous": 3}, "'synchronous' of main is 3, and beside the first it has 2 instances; lower it"),
        (
            {"wal_storage": "1Gi", "postgres": {"max_wal_size": "900MB"}},
            "max_wal_size of main is 900MB, which the volume of its log (1Gi) could not hold",
        ),
        ({"wal_storage": "512Mi"}, "max_wal_size of main is 512MB, which the volume of its log"),
        (
            {"postgres": {"synchronous_standby_names": "x"}},
            "parameter synchronous_standby_names of main is the operator's own",
        ),
        ({"ha": False, "wal_storage": "1Gi"}, "'wal_storage' and 'synchronous' of main are for several instances"),
        ({"instances": 1}, "'keelson:servers.main.instances' is wrong"),
    ],
)
def test_what_several_instances_could_not_hold_to_is_refused(root: Path, own: dict[str, Any], sentence: str) -> None:
    refused(root, sentence, kubernetes={"ha": True}, servers={"main": own})


@pytest.mark.parametrize(
    "reference", [PINNED, "registry.example/ha:latest@sha256:" + "0" * 64, "registry.example/ha:ours"]
)
def test_an_image_that_the_operator_does_not_know_the_version_of_is_refused(root: Path, reference: str) -> None:
    refused(
        root,
        "whose tag does not begin with PostgreSQL's version",
        kubernetes={"ha": True, "image": {"postgres-ha": reference}},
    )


@pytest.mark.parametrize("other", ["local", "docker"])
def test_several_instances_are_refused_where_there_is_one_machine(root: Path, other: str) -> None:
    sentence = f"'ha' and 'instances' of main need the target kubernetes; take them out for {other}"
    refused(root, sentence, target=other, servers={"main": {"ha": True}})


@pytest.mark.parametrize(
    ("usual", "own", "instances"),
    [
        ({}, {}, 1),
        ({}, {"ha": True}, 3),
        ({"ha": True}, {}, 3),
        ({"ha": True, "instances": 5}, {}, 5),
        ({"ha": True}, {"instances": 2}, 2),
        ({"ha": True}, {"ha": False}, 1),
        ({}, {"instances": 3}, 1),
    ],
)
def test_a_part_has_several_instances_where_it_is_highly_available(
    root: Path, usual: dict[str, Any], own: dict[str, Any], instances: int
) -> None:
    settings = read(
        root,
        kubernetes=usual,
        servers={"main": own},
        redis={"cache": own | ({"instances": 3} if instances == 2 else {})},
    ).settings
    assert [settings.instances_of(name) for name in ("main", "cache")] == [
        instances,
        3 if instances == 2 else instances,
    ]
    assert settings.entrances_of("main") == (("replicas",) if instances > 1 else ())


def test_a_pooler_is_one_more_entrance(root: Path) -> None:
    settings = read(root, servers={"main": {"ha": True, "pooler": {"pool_size": 5}}}).settings
    assert settings.entrances_of("main") == ("replicas", "pooler")
    assert (settings.servers["main"].pooler or PoolerSettings()).model_dump() == {
        "mode": "transaction",
        "instances": 2,
        "pool_size": 5,
        "max_client_conn": 1000,
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"servers": {"main": {"pooler": {}}}}, "'pooler' of main is for a server of several instances; set 'ha'"),
        (
            {"servers": {"main": {"ha": True, "pooler": {}}, "main_pooler": {}}},
            "main_pooler is called as the pooler of main; choose another name",
        ),
        (
            {"servers": {"main": {"ha": True, "pooler": {}, "postgres": {"max_connections": 30}}}},
            "'pooler' of main opens up to 40 connections for one service (instances times pool_size), and max_connections is 30",
        ),
        (
            {"servers": {"main": {"ha": True, "pooler": {"mode": "statement"}}}},
            "'keelson:servers.main.pooler.mode' is wrong",
        ),
        (
            {"target": "docker", "servers": {"main": {"pooler": {}}}},
            "'pooler' of main needs the target kubernetes; take it out for docker",
        ),
    ],
)
def test_a_pooler_that_cannot_be_is_refused(root: Path, settings: dict[str, Any], sentence: str) -> None:
    refused(root, sentence, **settings)


def test_quantities_are_counted_in_powers_of_two() -> None:
    assert [count_quantity(each) for each in ("512Mi", "10Gi", "2Ti")] == [512 * 2**20, 10 * 2**30, 2 * 2**40]
