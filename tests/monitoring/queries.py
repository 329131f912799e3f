"""Which figures a query names, and which of them no stack of a test serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from keelson.monitoring import dashboards, rules
from keelson.monitoring.watched import Watched

Json = dict[str, Any]
ALL = Watched("keelson-prod", "platform", ("main",), {"several": 3}, {"redis": 1, "sessions": 3})
CLUSTERS_OWN = {  # served by the cluster's own parts, which a test cluster has nobody ask
    *("up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"),
    *("kube_job_failed", "kube_job_status_start_time", "kube_cronjob_spec_suspend"),
}
ONCE_THERE_IS_A_BACKUP = {"keelson_backup_size_bytes", "keelson_backup_timestamp_seconds"}
OF_INSTANCES = "cnpg_"  # CloudNativePG's own: see tests/kubernetes/test_operator.py
_NO_FIGURES = re.compile(
    r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without|ignoring|group_left)\s*\([^)]*\)|\b(?:and|or|unless|offset)\b|\b[\d.]+\w*'
)


def figures(query: str) -> set[str]:
    """Return the names of the figures in a query: what is left of it but functions."""
    left = _NO_FIGURES.sub(" ", query)
    return {found[0] for found in re.finditer(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", left)}


def of_rules(watched: Watched) -> Iterator[str]:
    """Return the queries of all alerts."""
    for group in rules.groups(watched):
        yield from (rule["expr"] for rule in group["rules"])


def of_pages(watched: Watched) -> Iterator[str]:
    """Return the queries of all panels."""
    for page in dashboards.pages(watched).values():
        for panel in page["panels"]:
            yield from (target["expr"] for target in panel["targets"])


def named(queries: Iterable[str]) -> set[str]:
    """Return the figures of several queries."""
    return {name for query in queries for name in figures(query)}
