"""The pages of a stack for Grafana, each a document of JSON: what there is to see, by panels of one or more queries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from keelson.monitoring.watched import PART, Watched

Json = dict[str, Any]
Shape = Literal["stat", "timeseries"]

SCHEMA = 39  # of Grafana 10 and newer, which raise it by themselves
COLUMNS = 24  # of a page
SIZES: Mapping[Shape, tuple[int, int]] = {"stat": (4, 4), "timeseries": (8, 8)}  # width and height
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = f'HERE,{PART}=~"$part"'


@dataclass(frozen=True)
class Panel:
    """One panel: what it shows, in which unit, by the query of each line and what that line is called."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    shape: Shape = "timeseries"
    bad: float | None = None  # from which figure on, or below which, it is red: with `low`
    low: bool = False


@dataclass(frozen=True)
class Page:
    """One dashboard: its name, its panels, and the figure that has the parts to choose from; none where that chooses nothing."""

    name: str
    title: str
    panels: Sequence[Panel]
    parts_of: str = ""

    def document(self, watched: Watched) -> Json:
        """Return it as Grafana reads it."""
        title = f"Keelson · {watched.key} · {self.title}"
        return {
            "uid": hashlib.sha256(f"{watched.namespace}/{watched.key}/{self.name}".encode()).hexdigest()[:20],
            "title": title,
            "tags": ["keelson", watched.key],
            "timezone": "browser",
            "editable": False,
            "schemaVersion": SCHEMA,
            "refresh": "1m",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": [*_variables(self, watched)]},
            "panels": [*_placed(self.panels, watched)],
        }


def pages(watched: Watched) -> dict[str, Json]:
    """Return the dashboards of a stack by name."""
    found = [
        *([_OVERVIEW] if watched.agent else []),
        *([_POSTGRESQL] if watched.servers else []),
        *([_INSTANCES] if watched.replicated else []),
        *([_REDIS] if watched.redis else []),
    ]
    return {page.name: page.document(watched) for page in found}


def _variables(page: Page, watched: Watched) -> Iterator[Json]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    if page.parts_of:
        question = f"label_values({watched.query(page.parts_of)}, {PART})"
        yield {
            "name": "part",
            "label": "Part",
            "type": "query",
            "datasource": SOURCE,
            "definition": question,
            "query": {"query": question, "refId": "part"},
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        }


def _placed(panels: Sequence[Panel], watched: Watched) -> Iterator[Json]:
    """Give each panel a place: from left to right, and a new line where one is full or the shape changes."""
    x = y = height = 0
    for number, panel in enumerate(panels, start=1):
        width, own = SIZES[panel.shape]
        if x + width > COLUMNS or (height and own != height):
            x, y = 0, y + height
        yield _panel(number, panel, watched) | {"gridPos": {"x": x, "y": y, "w": width, "h": own}}
        x, height = x + width, own


def _panel(number: int, panel: Panel, watched: Watched) -> Json:
    targets = [
        {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": watched.query(query), "legendFormat": name}
        for place, (name, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.shape,
        "title": panel.title,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, **_thresholds(panel)}, "overrides": []},
        **({"options": {"reduceOptions": {"calcs": ["lastNotNull"]}}} if panel.shape == "stat" else {}),
    }


def _thresholds(panel: Panel) -> Json:
    if panel.bad is None:
        return {}
    below, above = ("red", "green") if panel.low else ("green", "red")
    steps = [{"color": below, "value": None}, {"color": above, "value": panel.bad}]
    return {"min": 0, "thresholds": {"mode": "absolute", "steps": steps}}


_OVERVIEW = Page(
    "overview",
    "overview",
    [
        Panel("Parts that do not answer", {"": "count(keelson_part_up{HERE} == 0) or vector(0)"}, "short", "stat", 1),
        Panel(
            "Backups that are overdue", {"": "count(keelson_job_failures{HERE} > 0) or vector(0)"}, "short", "stat", 1
        ),
        Panel("Oldest last backup", {"": "time() - min(keelson_backup_timestamp_seconds{HERE})"}, "s", "stat", 129600),
        Panel(
            "First certificate ends in",
            {"": "min(keelson_certificate_expiry_timestamp_seconds{HERE}) - time()"},
            "s",
            "stat",
            30 * 86400,
            low=True,
        ),
        Panel("Databases", {"": "sum(keelson_database_size_bytes{HERE})"}, "bytes", "stat"),
        Panel("Faults of the agent", {"": "sum(keelson_agent_faults{HERE})"}, "short", "stat", 1),
        Panel("Parts", {"{{part}}": "keelson_part_up{HERE}"}),
        Panel("Size of each database", {"{{database}}": "keelson_database_size_bytes{HERE}"}, "bytes"),
        Panel("Size of the newest backup", {"{{name}}": "keelson_backup_size_bytes{HERE}"}, "bytes"),
        Panel("Age of the newest backup", {"{{name}}": "time() - keelson_backup_timestamp_seconds{HERE}"}, "s"),
        Panel("How long the last backup took", {"{{name}}": "keelson_job_last_duration_seconds{HERE}"}, "s"),
        Panel(
            "Volumes: part that is left",
            {
                "{{persistentvolumeclaim}}": "kubelet_volume_stats_available_bytes{HERE} / kubelet_volume_stats_capacity_bytes{HERE}"
            },
            "percentunit",
        ),
    ],
)

_POSTGRESQL = Page(
    "postgresql",
    "PostgreSQL",
    [
        Panel("Answers", {"{{part}}": f"pg_up{{{CHOSEN}}}"}, "short", "stat", 1, low=True),
        Panel(
            "Connections taken",
            {
                "{{part}}": f"sum by ({PART}) (pg_stat_activity_count{{{CHOSEN}}}) / max by ({PART}) (pg_settings_max_connections{{{CHOSEN}}})"
            },
            "percentunit",
            "stat",
            0.8,
        ),
        Panel(
            "Oldest transaction",
            {
                "{{part}}": f'max by ({PART}) (pg_stat_activity_max_tx_duration{{{CHOSEN},state=~"active|idle in transaction.*"}})'
            },
            "s",
            "stat",
            3600,
        ),
        Panel("Runs since", {"{{part}}": f"time() - pg_postmaster_start_time_seconds{{{CHOSEN}}}"}, "s", "stat"),
        Panel("Size", {"{{part}}": f"sum by ({PART}) (pg_database_size_bytes{{{CHOSEN}}})"}, "bytes", "stat"),
        Panel("Log (WAL)", {"{{part}}": f"pg_wal_size_bytes{{{CHOSEN}}}"}, "bytes", "stat"),
        Panel(
            "Transactions a second",
            {
                "{{part}} {{datname}} committed": f"rate(pg_stat_database_xact_commit{{{CHOSEN}}}[5m])",
                "{{part}} {{datname}} rolled back": f"rate(pg_stat_database_xact_rollback{{{CHOSEN}}}[5m])",
            },
            "ops",
        ),
        Panel("Connections", {"{{part}} {{datname}} {{state}}": f"pg_stat_activity_count{{{CHOSEN}}} > 0"}),
        Panel(
            "Blocks found in memory",
            {
                "{{part}} {{datname}}": f"rate(pg_stat_database_blks_hit{{{CHOSEN}}}[5m]) / "
                f"(rate(pg_stat_database_blks_hit{{{CHOSEN}}}[5m]) + rate(pg_stat_database_blks_read{{{CHOSEN}}}[5m]) > 0)"
            },
            "percentunit",
        ),
        Panel(
            "Rows a second",
            {
                "{{part}} fetched": f"sum by ({PART}) (rate(pg_stat_database_tup_fetched{{{CHOSEN}}}[5m]))",
                "{{part}} inserted": f"sum by ({PART}) (rate(pg_stat_database_tup_inserted{{{CHOSEN}}}[5m]))",
                "{{part}} updated": f"sum by ({PART}) (rate(pg_stat_database_tup_updated{{{CHOSEN}}}[5m]))",
                "{{part}} deleted": f"sum by ({PART}) (rate(pg_stat_database_tup_deleted{{{CHOSEN}}}[5m]))",
            },
            "ops",
        ),
        Panel("Locks", {"{{part}} {{mode}}": f"sum by ({PART}, mode) (pg_locks_count{{{CHOSEN}}}) > 0"}),
        Panel(
            "Deadlocks and conflicts",
            {
                "{{part}} {{datname}} deadlocks": f"increase(pg_stat_database_deadlocks{{{CHOSEN}}}[15m])",
                "{{part}} {{datname}} conflicts": f"increase(pg_stat_database_conflicts{{{CHOSEN}}}[15m])",
            },
        ),
        Panel("Temporary files", {"{{part}} {{datname}}": f"rate(pg_stat_database_temp_bytes{{{CHOSEN}}}[5m])"}, "Bps"),
        Panel(
            "Checkpoints in a quarter of an hour",
            {
                "{{part}} by time": f"increase(pg_stat_checkpointer_num_timed_total{{{CHOSEN}}}[15m])",
                "{{part}} asked for": f"increase(pg_stat_checkpointer_num_requested_total{{{CHOSEN}}}[15m])",
            },
        ),
        Panel(
            "Transaction ids since the last freeze",
            {"{{part}} {{datname}}": f"pg_database_wraparound_age_datfrozenxid_seconds{{{CHOSEN}}}"},
        ),
    ],
    "pg_up{HERE}",
)

_INSTANCES = Page(
    "postgresql-instances",
    "PostgreSQL of several instances",
    [
        Panel(
            "Instances that answer",
            {"{{part}}": f"count by ({PART}) (cnpg_collector_up{{{CHOSEN}}} == 1)"},
            "short",
            "stat",
        ),
        Panel(
            "Replicas that follow",
            {"{{part}}": f"max by ({PART}) (cnpg_pg_replication_streaming_replicas{{{CHOSEN}}})"},
            "short",
            "stat",
            1,
            low=True,
        ),
        Panel(
            "Furthest behind", {"{{part}}": f"max by ({PART}) (cnpg_pg_replication_lag{{{CHOSEN}}})"}, "s", "stat", 60
        ),
        Panel("Behind the primary", {"{{pod}}": f"cnpg_pg_replication_lag{{{CHOSEN}}}"}, "s"),
        Panel("Which one writes", {"{{pod}}": f"1 - cnpg_pg_replication_in_recovery{{{CHOSEN}}}"}),
        Panel("Connections", {"{{pod}} {{state}}": f"sum by (pod, state) (cnpg_backends_total{{{CHOSEN}}})"}),
        Panel(
            "Transactions a second",
            {
                "{{pod}} {{datname}} committed": f"rate(cnpg_pg_stat_database_xact_commit{{{CHOSEN}}}[5m])",
                "{{pod}} {{datname}} rolled back": f"rate(cnpg_pg_stat_database_xact_rollback{{{CHOSEN}}}[5m])",
            },
            "ops",
        ),
        Panel(
            "Size of each database",
            {"{{part}} {{datname}}": f"max by ({PART}, datname) (cnpg_pg_database_size_bytes{{{CHOSEN}}})"},
            "bytes",
        ),
        Panel("Deadlocks", {"{{pod}} {{datname}}": f"increase(cnpg_pg_stat_database_deadlocks{{{CHOSEN}}}[15m])"}),
        Panel(
            "Oldest transaction", {"{{pod}}": f"max by (pod) (cnpg_backends_max_tx_duration_seconds{{{CHOSEN}}})"}, "s"
        ),
        Panel(
            "Transaction ids since the last freeze",
            {"{{part}} {{datname}}": f"max by ({PART}, datname) (cnpg_pg_database_xid_age{{{CHOSEN}}})"},
        ),
        Panel("Archiving that failed", {"{{pod}}": f"increase(cnpg_pg_stat_archiver_failed_count{{{CHOSEN}}}[15m])"}),
    ],
    "cnpg_collector_up{HERE}",
)

_REDIS = Page(
    "redis",
    "Redis",
    [
        Panel("Answers", {"{{part}}": f"redis_up{{{CHOSEN}}}"}, "short", "stat", 1, low=True),
        Panel(
            "Memory taken",
            {"{{part}}": f"redis_memory_used_bytes{{{CHOSEN}}} / (redis_memory_max_bytes{{{CHOSEN}}} > 0)"},
            "percentunit",
            "stat",
            0.9,
        ),
        Panel("Clients", {"{{part}}": f"redis_connected_clients{{{CHOSEN}}}"}, "short", "stat"),
        Panel("Replicas", {"{{part}}": f"redis_connected_slaves{{{CHOSEN}}}"}, "short", "stat"),
        Panel(
            "Last save",
            {"{{part}}": f"time() - redis_rdb_last_save_timestamp_seconds{{{CHOSEN}}}"},
            "s",
            "stat",
        ),
        Panel("Runs since", {"{{part}}": f"redis_uptime_in_seconds{{{CHOSEN}}}"}, "s", "stat"),
        Panel(
            "Memory",
            {
                "{{part}} used": f"redis_memory_used_bytes{{{CHOSEN}}}",
                "{{part}} of the process": f"redis_memory_used_rss_bytes{{{CHOSEN}}}",
                "{{part}} at most": f"redis_memory_max_bytes{{{CHOSEN}}}",
            },
            "bytes",
        ),
        Panel("Commands a second", {"{{part}}": f"rate(redis_commands_processed_total{{{CHOSEN}}}[5m])"}, "ops"),
        Panel(
            "Keys that were found",
            {
                "{{part}}": f"rate(redis_keyspace_hits_total{{{CHOSEN}}}[5m]) / "
                f"(rate(redis_keyspace_hits_total{{{CHOSEN}}}[5m]) + rate(redis_keyspace_misses_total{{{CHOSEN}}}[5m]) > 0)"
            },
            "percentunit",
        ),
        Panel("Keys", {"{{part}} {{db}}": f"redis_db_keys{{{CHOSEN}}} > 0"}),
        Panel(
            "Keys that went, a second",
            {
                "{{part}} evicted": f"rate(redis_evicted_keys_total{{{CHOSEN}}}[5m])",
                "{{part}} expired": f"rate(redis_expired_keys_total{{{CHOSEN}}}[5m])",
            },
            "ops",
        ),
        Panel(
            "Time of each command",
            {
                "{{part}} {{cmd}}": f"rate(redis_commands_duration_seconds_total{{{CHOSEN}}}[5m]) / "
                f"(rate(redis_commands_total{{{CHOSEN}}}[5m]) > 0)"
            },
            "s",
        ),
        Panel(
            "Network",
            {
                "{{part}} in": f"rate(redis_net_input_bytes_total{{{CHOSEN}}}[5m])",
                "{{part}} out": f"rate(redis_net_output_bytes_total{{{CHOSEN}}}[5m])",
            },
            "Bps",
        ),
        Panel("Slow commands kept", {"{{part}}": f"redis_slowlog_length{{{CHOSEN}}}"}),
        Panel(
            "Refused",
            {
                "{{part}} clients": f"increase(redis_rejected_connections_total{{{CHOSEN}}}[15m])",
                "{{part}} commands": f"increase(redis_commands_rejected_calls_total{{{CHOSEN}}}[15m]) > 0",
            },
        ),
    ],
    "redis_up{HERE}",
)
