"""The alerts, held to Prometheus' own checks: when each is told, and when it is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from keelson.monitoring import rules
from tests.monitoring.queries import ALL, figures, of_pages, of_rules

HERE = f'namespace="{ALL.namespace}"'
PG, REDIS, SEVERAL = f'{HERE},part="main",pod="p"', f'{HERE},part="redis",pod="r"', f'{HERE},part="several"'
SESSIONS = f'{HERE},part="sessions",pod="s"'
VOLUME = f'{HERE},persistentvolumeclaim="main-data"'
JOB = f'{HERE},job_name="auth-backup-1"'
STEP = 30  # minutes between two figures where a week counts
ALERTS: list[tuple[str, dict[str, str], int]] = [
    # the alert, series with which it is told, and the minute in which it is
    ("TargetDown", {f'up{{{HERE},job="platform/main-exporter"}}': "0x30"}, 15),
    ("ServerDown", {f"pg_up{{{PG}}}": "1 0x30"}, 5),
    (
        "ConnectionsNearMax",
        {
            f'pg_stat_activity_count{{{PG},state="idle"}}': "60x30",
            f'pg_stat_activity_count{{{PG},state="active"}}': "30x30",
            f'pg_settings_max_connections{{{PG},server="main:5432"}}': "100x30",
        },
        10,
    ),
    (
        "TransactionOpenLong",
        {f'pg_stat_activity_max_tx_duration{{{PG},datname="auth",state="idle in transaction"}}': "3590+60x30"},
        10,
    ),
    ("Deadlocks", {f'pg_stat_database_deadlocks{{{PG},datname="auth"}}': "0x5 1x30"}, 9),
    (
        "TransactionIdsRunOut",
        {f'pg_database_wraparound_age_datfrozenxid_seconds{{{PG},datname="auth"}}': "1100000000x30"},
        15,
    ),
    ("FiguresMissing", {f'pg_scrape_collector_success{{{PG},collector="wal"}}': "0x30"}, 20),
    (
        "InstancesMissing",
        {
            f'cnpg_collector_up{{{SEVERAL},pod="several-1"}}': "1x30",
            f'cnpg_collector_up{{{SEVERAL},pod="several-2"}}': "1x30",
        },
        15,
    ),
    ("NoPrimary", {f'cnpg_pg_replication_in_recovery{{{SEVERAL},pod="several-1"}}': "1x30"}, 5),
    ("ReplicationLag", {f'cnpg_pg_replication_lag{{{SEVERAL},pod="several-2"}}': "90x30"}, 10),
    (
        "InstanceConnectionsNearMax",
        {
            f'cnpg_backends_total{{{SEVERAL},pod="several-1",state="idle"}}': "90x30",
            f'cnpg_pg_settings_setting{{{SEVERAL},pod="several-1",name="max_connections"}}': "100x30",
        },
        10,
    ),
    (
        "InstanceTransactionOpenLong",
        {f'cnpg_backends_max_tx_duration_seconds{{{SEVERAL},pod="several-1",datname="auth"}}': "4000x30"},
        10,
    ),
    (
        "InstanceDeadlocks",
        {f'cnpg_pg_stat_database_deadlocks{{{SEVERAL},pod="several-1",datname="auth"}}': "0x5 1x30"},
        9,
    ),
    (
        "InstanceTransactionIdsRunOut",
        {f'cnpg_pg_database_xid_age{{{SEVERAL},pod="several-1",datname="auth"}}': "1100000000x30"},
        15,
    ),
    ("RedisDown", {f"redis_up{{{REDIS}}}": "0x30"}, 5),
    (
        "RedisMemoryFull",
        {
            f"redis_memory_used_bytes{{{REDIS}}}": "95x30",
            f"redis_memory_max_bytes{{{REDIS}}}": "100x30",
            f'redis_instance_info{{{REDIS},maxmemory_policy="noeviction"}}': "1x30",
        },
        10,
    ),
    ("RedisEvicts", {f"redis_evicted_keys_total{{{REDIS}}}": "0+10x40"}, 30),
    ("RedisCannotSave", {f"redis_rdb_last_bgsave_status{{{REDIS}}}": "0x30"}, 10),
    ("RedisRefusesClients", {f"redis_rejected_connections_total{{{REDIS}}}": "0x5 3x30"}, 9),
    ("RedisReplicaMissing", {f"redis_connected_slaves{{{SESSIONS}}}": "1x30"}, 10),
    ("PartDown", {f'keelson_part_up{{{HERE},part="pgadmin",kind="pgadmin"}}': "0x30"}, 10),
    ("BackupOverdue", {f'keelson_job_failures{{{HERE},name="backup-auth"}}': "1x30"}, 20),
    ("BackupShrank", {f'keelson_backup_size_bytes{{{HERE},name="auth"}}': "100x336 40x10"}, 10260),
    ("DrillFailed", {f'keelson_drill_well{{{HERE},name="auth"}}': "0x30"}, 20),
    ("DrillOld", {f'keelson_drill_timestamp_seconds{{{HERE},name="auth"}}': "0x450"}, 13140),
    ("CertificateEnds", {f'keelson_certificate_expiry_timestamp_seconds{{{HERE},server="main"}}': "864000x100"}, 90),
    ("AgentFaults", {f"keelson_agent_faults{{{HERE}}}": "1x30"}, 20),
    (
        "VolumeFills",
        {
            f"kubelet_volume_stats_available_bytes{{{VOLUME}}}": "5x30",
            f"kubelet_volume_stats_capacity_bytes{{{VOLUME}}}": "100x30",
        },
        10,
    ),
    (
        "VolumeWillFill",
        {
            f"kubelet_volume_stats_available_bytes{{{VOLUME}}}": "400000-400x200",
            f"kubelet_volume_stats_capacity_bytes{{{VOLUME}}}": "1000000x200",
        },
        150,
    ),
    (
        "BackupFailed",
        {f'kube_job_failed{{{JOB},condition="true"}}': "1x30", f"kube_job_status_start_time{{{JOB}}}": "0x30"},
        5,
    ),
    ("BackupSuspended", {f'kube_cronjob_spec_suspend{{{HERE},cronjob="auth-backup"}}': "1x90"}, 80),
]
WELL = {  # in which nothing is told
    **{f'up{{{HERE},job="{ALL.job(part)}"}}': "1x90" for part in ALL.targets},
    f"pg_up{{{PG}}}": "1x90",
    f'pg_stat_activity_count{{{PG},state="idle"}}': "10x90",
    f"pg_settings_max_connections{{{PG}}}": "100x90",
    f'pg_stat_activity_max_tx_duration{{{PG},datname="auth",state="idle"}}': "90000x90",
    f'pg_stat_database_deadlocks{{{PG},datname="auth"}}': "3x90",
    **{f'cnpg_collector_up{{{SEVERAL},pod="several-{number}"}}': "1x90" for number in (1, 2, 3)},
    f'cnpg_pg_replication_in_recovery{{{SEVERAL},pod="several-1"}}': "0x90",
    f'cnpg_pg_replication_in_recovery{{{SEVERAL},pod="several-2"}}': "1x90",
    f'cnpg_pg_replication_lag{{{SEVERAL},pod="several-2"}}': "1x90",
    f"redis_up{{{REDIS}}}": "1x90",
    f"redis_memory_used_bytes{{{REDIS}}}": "99x90",
    f"redis_memory_max_bytes{{{REDIS}}}": "100x90",
    f'redis_instance_info{{{REDIS},maxmemory_policy="allkeys-lru"}}': "1x90",
    f"redis_connected_slaves{{{SESSIONS}}}": "2x90",
    f"redis_connected_slaves{{{REDIS}}}": "0x90",
    f'keelson_job_failures{{{HERE},name="backup-auth"}}': "0x90",
    f'keelson_drill_well{{{HERE},name="auth"}}': "1x90",
    f'keelson_drill_timestamp_seconds{{{HERE},name="auth"}}': "0x90",
    f'keelson_certificate_expiry_timestamp_seconds{{{HERE},server="main"}}': "31536000x90",
    f"kubelet_volume_stats_available_bytes{{{VOLUME}}}": "50x90",
    f"kubelet_volume_stats_capacity_bytes{{{VOLUME}}}": "100x90",
    f'kube_cronjob_spec_suspend{{{HERE},cronjob="auth-backup"}}': "0x90",
    'pg_up{namespace="another",part="main"}': "0x90",  # is none of the stack's business
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus' own tool, which tests bring from Debian."""
    found = shutil.which("promtool")
    if not found:
        told = "promtool is missing; `tools/setup kubernetes` brings it"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    return str(found)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": rules.groups(ALL)}))
    return path


def told(name: str) -> dict[str, Any]:
    return next(each for group in rules.groups(ALL) for each in group["rules"] if each["alert"] == f"Keelson{name}")


def test_prometheus_takes_every_rule_and_finds_nothing_to_correct(promtool: str, file: Path) -> None:
    done = subprocess.run([promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file)], capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_every_query_of_a_panel(promtool: str, tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": query.replace("$part", "main")}
        for number, query in enumerate(of_pages(ALL))
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=none", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_told_once_it_holds_and_none_while_all_is_well(promtool: str, file: Path) -> None:
    """Promtool runs what is a test for each alert."""
    quick = [_trial(name, given, minute) for name, given, minute in ALERTS if minute < STEP * 60]
    try_rules(promtool, file, 1, [*quick, _trial("", WELL, 85)])


def test_an_alert_that_compares_with_the_week_before_is_told(promtool: str, file: Path) -> None:
    try_rules(promtool, file, STEP, [_trial(*each, STEP) for each in ALERTS if each[2] >= STEP * 60])


def _trial(name: str, given: dict[str, str], minute: int, step: int = 1) -> dict[str, Any]:
    """Return a test for promtool: that an alert is told in that minute; without a name, that none is."""
    chosen = f'alertname="Keelson{name}",' if name else ""
    seen = {"labels": "{}", "value": 1}
    return {
        "name": name or "all is well",
        "interval": f"{step}m",
        "input_series": [{"series": series, "values": values} for series, values in given.items()],
        "promql_expr_test": [
            {
                "expr": f'clamp_max(count(ALERTS{{{chosen}alertstate="firing"}}), 1)',
                "eval_time": f"{minute}m",
                "exp_samples": [seen] if name else [],
            }
        ],
    }


def try_rules(promtool: str, file: Path, step: int, tests: list[dict[str, Any]]) -> None:
    path = file.with_name(f"tests-{step}.yml")
    path.write_text(yaml.safe_dump({"rule_files": [file.name], "evaluation_interval": f"{step}m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    there = {rule["alert"].removeprefix("Keelson") for group in rules.groups(ALL) for rule in group["rules"]}
    assert there == {name for name, _, _ in ALERTS}


def test_each_alert_says_what_is_and_what_to_do_after_a_while() -> None:
    for group in rules.groups(ALL):
        for rule in group["rules"]:
            assert re.fullmatch(r"\d+m", rule["for"])
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert rule["annotations"]["summary"].startswith(f"{ALL.key}: ")
            assert rule["annotations"]["description"].endswith(".")
            assert "{{{" not in str(rule["annotations"])
            assert re.search(r"`|raise|look|see|let ", rule["annotations"]["description"], re.IGNORECASE)


def test_every_query_asks_for_the_figures_of_the_stacks_namespace_alone() -> None:
    for query in (*of_rules(ALL), *of_pages(ALL)):
        chosen = re.findall(r"\{([^}]*)\}", query)
        assert chosen
        assert all(HERE in each for each in chosen), query
        assert len(chosen) >= len(figures(query))


def test_what_a_query_names_is_found_among_functions_labels_and_texts() -> None:
    query = 'sum by (part, a_label) (rate(one_total{b="three_total",c=~"x|y"}[5m])) / on (part) (two > 1e9) and absent(up{job="j"}) offset 7d'
    assert figures(query) == {"one_total", "two", "up"}
