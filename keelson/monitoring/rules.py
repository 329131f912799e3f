"""The alerts of a stack, as groups of rules for Prometheus.

Each says in its summary what is, and in its description what to do. Figures of the cluster itself (kubelet, kube-state-metrics) are
used where the stack has none of its own: they come with prometheus-operator's usual installations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from keelson.monitoring.watched import PART, Watched

Json = dict[str, Any]
Severity = Literal["critical", "warning", "info"]

_OF = f"by (namespace, {PART})"
_LOOK = "run `keelson status`, then `keelson logs {{ $labels.part }}`"
_CONNECTIONS = "Run `keelson report connections` to see who holds them; end what is idle, pool in the application, or raise max_connections"
_TRANSACTION = "Run `keelson report long-running` to see whose it is, and have it end: it keeps VACUUM from its work, and holds its locks"
_DEADLOCK = "Look for `deadlock detected` in `keelson logs {{ $labels.part }}`: it has both statements; let them lock in one order"
_WRAPAROUND = "Run `keelson report vacuum` and `keelson report long-running`: end what keeps old rows alive, then VACUUM the oldest tables"


@dataclass(frozen=True)
class Alert:
    """One alert: its name without what is the same for all, when it holds, for how long before it is told, and what is told."""

    name: str
    query: str
    minutes: int
    severity: Severity
    summary: str
    description: str

    def rule(self, watched: Watched) -> Json:
        """Return it as Prometheus reads it."""
        return {
            "alert": f"Keelson{self.name}",
            "expr": watched.query(self.query),
            "for": f"{self.minutes}m",
            "labels": {"severity": self.severity, "stack": watched.key},
            "annotations": {
                "summary": f"{watched.key}: {self.summary}",
                "description": f"{self.description}.",
            },
        }


def groups(watched: Watched) -> list[Json]:
    """Return the rules of a stack, by what they are about."""
    found = {
        "targets": [*_targets(watched)],
        "postgresql": [*_servers()] if watched.servers else [],
        "postgresql-instances": [*_replicated(watched)] if watched.replicated else [],
        "redis": [*_redis(watched)] if watched.redis else [],
        "agent": [*_agent()] if watched.agent else [],
        "cluster": [*_cluster()],
    }
    return [
        {"name": f"keelson-{name}", "rules": [each.rule(watched) for each in alerts]}
        for name, alerts in found.items()
        if alerts
    ]


def _targets(watched: Watched) -> Iterator[Alert]:
    jobs = [watched.job(part) for part in watched.targets]
    missing = " or ".join(f'absent(up{{HERE,job="{job}"}})' for job in jobs)
    yield Alert(
        "TargetDown",
        f'up{{HERE,job=~"{"|".join(jobs)}"}} == 0 or {missing}',
        10,
        "critical",
        "Prometheus gets no figures of {{ $labels.job }}",
        "Run `keelson status`; where that is well, see whether keelson:kubernetes.monitoring names the namespace of Prometheus, "
        "and whether its podMonitorSelector chooses the labels that stand there",
    )


def _servers() -> Iterator[Alert]:
    yield Alert(
        "ServerDown",
        "pg_up{HERE} == 0",
        2,
        "critical",
        "the PostgreSQL server {{ $labels.part }} does not answer",
        f"To see why, {_LOOK}; `keelson start {{{{ $labels.part }}}}` starts one that was stopped",
    )
    yield Alert(
        "ConnectionsNearMax",
        f"sum {_OF} (pg_stat_activity_count{{HERE}}) / max {_OF} (pg_settings_max_connections{{HERE}}) > 0.8",
        5,
        "warning",
        "{{ $value | humanizePercentage }} of the connections of {{ $labels.part }} are taken",
        _CONNECTIONS,
    )
    yield Alert(
        "TransactionOpenLong",
        f"max by (namespace, {PART}, datname) "
        '(pg_stat_activity_max_tx_duration{HERE,state=~"active|idle in transaction.*"}) > 3600',
        5,
        "warning",
        "a transaction in {{ $labels.datname }} on {{ $labels.part }} is open for {{ $value | humanizeDuration }}",
        _TRANSACTION,
    )
    yield Alert(
        "Deadlocks",
        "increase(pg_stat_database_deadlocks{HERE}[15m]) > 0",
        1,
        "warning",
        "transactions in {{ $labels.datname }} on {{ $labels.part }} were ended for a deadlock",
        _DEADLOCK,
    )
    yield Alert(
        "TransactionIdsRunOut",
        f"max by (namespace, {PART}, datname) (pg_database_wraparound_age_datfrozenxid_seconds{{HERE}}) > 1e9",
        10,
        "critical",
        "{{ $labels.datname }} on {{ $labels.part }} has used half of its transaction ids since its last freeze",
        _WRAPAROUND,
    )
    yield Alert(
        "FiguresMissing",
        "pg_scrape_collector_success{HERE} == 0 or pg_exporter_last_scrape_error{HERE} == 1",
        15,
        "warning",
        "some figures of {{ $labels.part }} cannot be had",
        "`keelson logs {{ $labels.part }}-exporter` says which, and what the server answered; `keelson up` gives its login its rights again",
    )


def _replicated(watched: Watched) -> Iterator[Alert]:
    for name, wanted in watched.replicated.items():
        up = f'cnpg_collector_up{{HERE,{PART}="{name}"}}'
        yield Alert(
            "InstancesMissing",
            f"count {_OF} ({up} == 1) < {wanted} or absent({up} == 1)",
            10,
            "critical",
            f"of {wanted} instances of {{{{ $labels.part }}}} not all answer",
            f"Run `keelson status` and `kubectl -n {watched.namespace} get pods -l cnpg.io/cluster={name}`: "
            "a pod that stays Pending has no node or volume, and one that ends again and again says why in its log",
        )
    yield Alert(
        "NoPrimary",
        f"min {_OF} (cnpg_pg_replication_in_recovery{{HERE}}) == 1",
        2,
        "critical",
        "{{ $labels.part }} has no instance that writes",
        "Run `keelson status`; `kubectl describe` of the Cluster says for what the operator waits",
    )
    yield Alert(
        "ReplicationLag",
        f"max by (namespace, {PART}, pod) (cnpg_pg_replication_lag{{HERE}}) > 60",
        5,
        "warning",
        "{{ $labels.pod }} is {{ $value | humanizeDuration }} behind its primary",
        "See whether its node or volume is slow, and whether a long query on it holds the replay up; a bulk load passes by itself",
    )
    yield Alert(
        "InstanceConnectionsNearMax",
        f"sum by (namespace, {PART}, pod) (cnpg_backends_total{{HERE}}) "
        f'/ max by (namespace, {PART}, pod) (cnpg_pg_settings_setting{{HERE,name="max_connections"}}) > 0.8',
        5,
        "warning",
        "{{ $value | humanizePercentage }} of the connections of {{ $labels.pod }} are taken",
        _CONNECTIONS,
    )
    yield Alert(
        "InstanceTransactionOpenLong",
        f"max by (namespace, {PART}, pod, datname) (cnpg_backends_max_tx_duration_seconds{{HERE}}) > 3600",
        5,
        "warning",
        "a transaction in {{ $labels.datname }} on {{ $labels.pod }} is open for {{ $value | humanizeDuration }}",
        _TRANSACTION,
    )
    yield Alert(
        "InstanceDeadlocks",
        "increase(cnpg_pg_stat_database_deadlocks{HERE}[15m]) > 0",
        1,
        "warning",
        "transactions in {{ $labels.datname }} on {{ $labels.pod }} were ended for a deadlock",
        _DEADLOCK,
    )
    yield Alert(
        "InstanceTransactionIdsRunOut",
        f"max by (namespace, {PART}, datname) (cnpg_pg_database_xid_age{{HERE}}) > 1e9",
        10,
        "critical",
        "{{ $labels.datname }} on {{ $labels.part }} has used half of its transaction ids since its last freeze",
        _WRAPAROUND,
    )


def _redis(watched: Watched) -> Iterator[Alert]:
    yield Alert(
        "RedisDown",
        "redis_up{HERE} == 0",
        2,
        "critical",
        "the Redis {{ $labels.part }} does not answer",
        f"To see why, {_LOOK}; `keelson start {{{{ $labels.part }}}}` starts one that was stopped",
    )
    yield Alert(
        "RedisMemoryFull",
        "redis_memory_used_bytes{HERE} / (redis_memory_max_bytes{HERE} > 0) > 0.9 "
        f'and on (namespace, {PART}, pod) redis_instance_info{{HERE,maxmemory_policy="noeviction"}}',
        5,
        "warning",
        "{{ $value | humanizePercentage }} of the memory of {{ $labels.part }} is taken, and it evicts nothing",
        "Soon it refuses writes: let keys expire, raise `maxmemory` of keelson:redis, or choose a policy that evicts",
    )
    yield Alert(
        "RedisEvicts",
        "rate(redis_evicted_keys_total{HERE}[5m]) > 0",
        15,
        "info",
        "{{ $labels.part }} evicts {{ $value | humanize }} keys a second",
        "For a cache that is as it should be; where it holds sessions these end: raise `maxmemory` of keelson:redis",
    )
    yield Alert(
        "RedisCannotSave",
        "redis_rdb_last_bgsave_status{HERE} == 0 or redis_aof_last_write_status{HERE} == 0",
        5,
        "critical",
        "{{ $labels.part }} cannot save its data",
        "`keelson logs {{ $labels.part }}` says why; most often its volume is full, or it has no memory for the copy that saves",
    )
    yield Alert(
        "RedisRefusesClients",
        "increase(redis_rejected_connections_total{HERE}[15m]) > 0",
        1,
        "warning",
        "{{ $labels.part }} refused connections: it has as many as it takes",
        "See with `keelson redis-cli` who is connected (CLIENT LIST), and pool connections in the application",
    )
    for name, wanted in watched.redis.items():
        if wanted > 1:
            yield Alert(
                "RedisReplicaMissing",
                f'redis_connected_slaves{{HERE,{PART}="{name}"}} < {wanted - 1}',
                5,
                "warning",
                f"of {wanted - 1} replicas of {{{{ $labels.part }}}} {{{{ $value }}}} are there",
                f"Run `keelson status` and `keelson logs {name}`: without a replica nobody takes over where the first one fails",
            )


def _agent() -> Iterator[Alert]:
    yield Alert(
        "PartDown",
        "keelson_part_up{HERE} == 0",
        5,
        "critical",
        "{{ $labels.part }} does not answer",
        f"To see why, {_LOOK}",
    )
    yield Alert(
        "BackupOverdue",
        "keelson_job_failures{HERE} > 0",
        15,
        "critical",
        "{{ $labels.name }} was due and is not there",
        "Run `keelson backup list` to see what there is and why the last run failed, and make one now with `keelson backup run`",
    )
    yield Alert(
        "BackupShrank",
        "keelson_backup_size_bytes{HERE} < 0.5 * keelson_backup_size_bytes{HERE} offset 7d",
        60,
        "warning",
        "the backup of {{ $labels.name }} is not half as large as a week ago",
        "Look whether rows were deleted that should be there; `keelson restore` brings an older backup beside the database",
    )
    yield Alert(
        "DrillFailed",
        "keelson_drill_well{HERE} == 0",
        15,
        "critical",
        "the last drill of {{ $labels.name }} found that its backup is not what was backed up",
        "Run `keelson backup drill` for what differs, and `keelson backup run` to make another backup now",
    )
    yield Alert(
        "DrillOld",
        "time() - keelson_drill_timestamp_seconds{HERE} > 9 * 86400",
        60,
        "warning",
        "the backups of {{ $labels.name }} were proven {{ $value | humanizeDuration }} ago for the last time",
        "Run `keelson backup drill`, and see to it that something does so each week",
    )
    yield Alert(
        "CertificateEnds",
        "keelson_certificate_expiry_timestamp_seconds{HERE} - time() < 30 * 86400",
        60,
        "warning",
        "the certificate of {{ $labels.server }} ends in {{ $value | humanizeDuration }}",
        "Run `keelson up`, which renews it; the server reads it while sessions live on",
    )
    yield Alert(
        "AgentFaults",
        "keelson_agent_faults{HERE} > 0",
        15,
        "warning",
        "the agent cannot do all of its work",
        "`/health` of the agent says what it lacks: `keelson forward agent`, and look there",
    )


def _cluster() -> Iterator[Alert]:
    yield Alert(
        "VolumeFills",
        "kubelet_volume_stats_available_bytes{HERE} / kubelet_volume_stats_capacity_bytes{HERE} < 0.1",
        5,
        "critical",
        "the volume {{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left",
        "Raise `storage` of the part (or keelson:kubernetes.backup_storage) and run `keelson up`: the volume grows where it is",
    )
    yield Alert(
        "VolumeWillFill",
        "predict_linear(kubelet_volume_stats_available_bytes{HERE}[6h], 4 * 86400) < 0 "
        "and kubelet_volume_stats_available_bytes{HERE} / kubelet_volume_stats_capacity_bytes{HERE} < 0.4",
        60,
        "warning",
        "the volume {{ $labels.persistentvolumeclaim }} will be full within four days",
        "Raise `storage` of the part (or keelson:kubernetes.backup_storage) and run `keelson up`: the volume grows where it is",
    )
    yield Alert(
        "BackupFailed",
        'kube_job_failed{HERE,condition="true",job_name=~".+-(backup|drill)-.+"} == 1 '
        "and on (namespace, job_name) time() - kube_job_status_start_time{HERE} < 86400",
        1,
        "warning",
        "the run {{ $labels.job_name }} of a backup or drill failed",
        "Run `keelson status` to see why, and `keelson backup run` or `keelson backup drill` to make one now",
    )
    yield Alert(
        "BackupSuspended",
        "kube_cronjob_spec_suspend{HERE} == 1",
        60,
        "warning",
        "{{ $labels.cronjob }} is suspended, and neither backs up nor drills",
        "`keelson stop` does that with the whole stack, and `keelson start` ends it",
    )
