"""/metrics: parts, databases, Redis and jobs in Prometheus' format, with base units and names as its documentation asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keelson.agent import archives, figures
from keelson.agent.figures import BackupFigures, DatabaseFigures, RedisFigures
from keelson.agent.health import Parts
from keelson.agent.jobs import OF_SERVERS, Job
from keelson.agent.looks import Look
from keelson.agent.loop import JobView, View
from keelson.endpoint import Reference
from keelson.target import Certificate

DEADLINE = 3.0  # seconds for one server

Labels = Mapping[str, str]


class Metrics(Collector):
    """The page of one stack: what its parts answer now, each by a look of its own.

    Args:
        parts: a look at them.
        view: the jobs as they are.
        certificates: of the servers.
        kept: a look at the servers' archives.
    """

    def __init__(
        self,
        parts: Look[Parts],
        view: Callable[[], View],
        certificates: Callable[[], Iterable[Certificate]],
        kept: Look[archives.Archives],
    ) -> None:
        self._archives = kept
        self._parts, self._view, self._certificates = parts, view, certificates
        self._stores: dict[str, tuple[Job, Look[BackupFigures | None]]] = {}
        self._looks: dict[tuple[Reference, frozenset[str]], Look[Any]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def page(self) -> bytes:
        """Return what /metrics shows."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Look at everything at once and return what was seen; what does not answer in time is down."""
        view = self._view()
        servers, backups = self._servers(view.jobs), self._backups(view.jobs)
        looks: list[Look[Any]] = [self._parts, self._archives, *servers.values(), *backups.values()]
        for look in looks:
            look.begin()
        yield from self._of_parts()
        yield GaugeMetricFamily("keelson_agent_faults", "What /health calls faults.", value=len(view.faults))
        yield from _of_jobs(view.jobs)
        yield _of_certificates(self._certificates())
        yield from _of_servers({reference: _answer(look) for (reference, _), look in servers.items()})
        answers = [({"name": name}, _answer(look)) for name, look in backups.items()]
        yield from archives.metrics(_answer(self._archives) or ())
        yield from _of_backups([(label, answer) for label, answer in answers if answer])

    def _servers(self, jobs: tuple[JobView, ...]) -> dict[tuple[Reference, frozenset[str]], Look[Any]]:
        """Return a look for each server that jobs name: at all their databases, by one connection."""
        named: dict[Reference, set[str]] = {}
        engines: dict[Reference, str] = {}
        for job in (view.job for view in jobs if view.job.kind not in OF_SERVERS):
            server = job.reference.to(database="-")
            named.setdefault(server, set()).add(job.reference.database)
            engines[server] = job.engine
        wanted = {(server, frozenset(databases)): engines[server] for server, databases in named.items()}
        self._looks = {each: self._looks.get(each) or _look(*each, engine) for each, engine in wanted.items()}
        return self._looks

    def _backups(self, jobs: tuple[JobView, ...]) -> dict[str, Look[BackupFigures | None]]:
        """Return a look for each job that makes backups, whose directory may hang like a server."""
        found = {view.job.name: view.job for view in jobs if view.job.kind == "backup"}
        kept = {name: look for name, (job, look) in self._stores.items() if found.get(name) == job}
        looks = {
            name: kept.get(name) or Look(partial(figures.of_backups, job), DEADLINE) for name, job in found.items()
        }
        self._stores = {name: (found[name], look) for name, look in looks.items()}
        return looks

    def _of_parts(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("keelson_part_up", "Whether a part of the stack answers.", labels=["part", "kind"])
        with contextlib.suppress(Exception):  # then /health says why
            for part in self._parts.result():
                up.add_metric([part.name, part.kind], float(part.answering))
        yield up


def _look(server: Reference, databases: frozenset[str], engine: str) -> Look[Any]:
    if engine == "redis":
        return Look(partial(figures.of_redis, server), DEADLINE)
    return Look(partial(figures.of_server, server, databases), DEADLINE)


def _answer(look: Look[Any]) -> Any:  # noqa: ANN401 - figures of either kind
    """Return the figures, None where the server does not answer in time."""
    try:
        return look.result()
    except Exception:  # noqa: BLE001 - whatever it is, the server did not answer, and keelson_server_up says so
        return None


def _of_servers(answers: Mapping[Reference, Any]) -> Iterator[Metric]:
    up = GaugeMetricFamily("keelson_server_up", "Whether a server let the agent look.", labels=["server"])
    databases: list[tuple[Labels, DatabaseFigures]] = []
    redis: list[tuple[Labels, RedisFigures]] = []
    limits = GaugeMetricFamily("keelson_server_connections_max", "Connections that it lets in.", labels=["server"])
    for server, answer in answers.items():
        up.add_metric([server.server], float(answer is not None))
        if isinstance(answer, RedisFigures):
            redis.append(({"server": server.server}, answer))
        elif answer:
            databases += [({"server": server.server, "database": each.datname}, each) for each in answer]
            limits.add_metric([server.server], answer[0].max_connections)
    yield from (up, limits)
    yield from _of_databases(databases)
    yield from _of_redis(redis)


def _of_databases(found: list[tuple[Labels, DatabaseFigures]]) -> Iterator[Metric]:
    labels = ["server", "database"]
    yield _gauge("keelson_database_size_bytes", "Its size on disk.", labels, found, lambda d: d.size)
    yield _gauge("keelson_database_connections", "Connections to it.", labels, found, lambda d: d.numbackends)
    yield _gauge(
        "keelson_database_cache_hit_ratio",
        "Blocks found in memory, of all.",
        labels,
        found,
        lambda d: d.cache_hit_ratio,
    )
    yield _gauge(
        "keelson_database_oldest_transaction_seconds",
        "Age of the oldest open transaction.",
        labels,
        found,
        lambda d: d.oldest_transaction,
    )
    yield _gauge(
        "keelson_database_transaction_id_age", "Transactions since the last freeze.", labels, found, lambda d: d.transaction_id_age
    )  # fmt: skip
    yield _counter("keelson_database_deadlocks", "Deadlocks.", labels, found, lambda d: d.deadlocks)
    yield _counter("keelson_database_blocks_hit", "Blocks found in memory.", labels, found, lambda d: d.blks_hit)
    yield _counter("keelson_database_blocks_read", "Blocks read from disk.", labels, found, lambda d: d.blks_read)
    yield _counter(
        "keelson_database_commits", "Transactions that were committed.", labels, found, lambda d: d.xact_commit
    )
    yield _counter(
        "keelson_database_rollbacks", "Transactions that were rolled back.", labels, found, lambda d: d.xact_rollback
    )


def _of_redis(found: list[tuple[Labels, RedisFigures]]) -> Iterator[Metric]:
    labels = ["server"]
    yield _gauge("keelson_redis_memory_bytes", "Memory that it uses.", labels, found, lambda r: r.memory)
    yield _gauge("keelson_redis_memory_max_bytes", "Memory that it may use.", labels, found, lambda r: r.max_memory)
    yield _gauge("keelson_redis_clients", "Clients that are connected.", labels, found, lambda r: r.clients)
    yield _gauge("keelson_redis_last_save_timestamp_seconds", "Last save of all.", labels, found, lambda r: r.last_save)
    yield _gauge(
        "keelson_redis_last_write_ok", "Whether the last write went well.", labels, found, lambda r: r.saves_well
    )
    yield _counter("keelson_redis_evicted_keys", "Keys evicted for memory.", labels, found, lambda r: r.evicted)
    yield _counter("keelson_redis_hits", "Keys that were found.", labels, found, lambda r: r.hits)
    yield _counter("keelson_redis_misses", "Keys that were not.", labels, found, lambda r: r.misses)
    keys = GaugeMetricFamily("keelson_redis_keys", "Keys.", labels=["server", "database"])
    for label, each in found:
        for database, count in each.keys.items():
            keys.add_metric([label["server"], database], count)
    yield keys


def _of_jobs(jobs: tuple[JobView, ...]) -> Iterator[Metric]:
    labels = ["name"]  # not `job`, which Prometheus gives to each target
    found = [({"name": view.job.name}, view) for view in jobs]
    done = [(label, view) for label, view in found if view.state.succeeded]
    yield _gauge(
        "keelson_job_last_success_timestamp_seconds", "Its last success.", labels, done, lambda v: v.state.succeeded
    )
    yield _gauge(
        "keelson_job_registered_timestamp_seconds", "When it was set up.", labels, found, lambda v: v.job.registered
    )
    yield _gauge("keelson_job_next_due_timestamp_seconds", "When it is due next.", labels, found, lambda v: v.next_due)
    yield _gauge("keelson_job_last_duration_seconds", "How long its last run took.", labels, found, lambda v: v.state.seconds)  # fmt: skip
    yield _gauge("keelson_job_failures", "Failures since its last success.", labels, found, lambda v: v.state.failures)
    yield _gauge("keelson_job_running", "Whether it runs now.", labels, found, lambda v: v.running)


def _of_certificates(found: Iterable[Certificate]) -> Metric:
    expiry = GaugeMetricFamily(
        "keelson_certificate_expiry_timestamp_seconds", "When a server's certificate ends.", labels=["server"]
    )
    for each in found:
        expiry.add_metric([each.server], each.expires.timestamp())
    return expiry


def _of_backups(found: list[tuple[Labels, BackupFigures]]) -> Iterator[Metric]:
    labels = ["name"]
    yield _gauge("keelson_backup_size_bytes", "Size of the newest good backup.", labels, found, lambda b: b.size)
    yield _gauge("keelson_backup_timestamp_seconds", "When that was complete.", labels, found, lambda b: b.ended)
    drills = [(label, each.drill) for label, each in found if each.drill]
    yield _gauge("keelson_drill_timestamp_seconds", "The last drill.", labels, drills, lambda d: d.begun.timestamp())
    yield _gauge("keelson_drill_well", "Whether that found nothing wrong.", labels, drills, lambda d: d.well)
    yield _gauge("keelson_drill_recovery_seconds", "How long its restore took.", labels, drills, lambda d: d.recovery_seconds)  # fmt: skip


def _gauge(
    name: str, text: str, labels: list[str], found: Iterable[tuple[Labels, Any]], figure: Callable[[Any], float]
) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), labels, found, figure)


def _counter(
    name: str, text: str, labels: list[str], found: Iterable[tuple[Labels, Any]], figure: Callable[[Any], float]
) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=labels), labels, found, figure)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily,
    labels: list[str],
    found: Iterable[tuple[Labels, Any]],
    figure: Callable[[Any], float],
) -> Metric:
    for label, each in found:
        family.add_metric([label[name] for name in labels], float(figure(each)))
    return family
