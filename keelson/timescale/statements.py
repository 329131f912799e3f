"""The statements that policies are made of, with their parameters; nothing here opens a connection."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from keelson.timescale.definition import Aggregate, Compression, Hypertable, Retention

Bound = tuple[sql.Composed | sql.SQL, list[str]]


def identifier(name: str) -> sql.Identifier:
    """Return `schema.table` quoted."""
    return sql.Identifier(*name.split("."))


def chunk_policies(name: str, table: Hypertable) -> Iterator[Bound]:
    """Yield what brings a hypertable's policies to the definition; a policy that changed is made anew."""
    quoted = identifier(name).as_string()
    if table.compression:
        yield compression_settings(name, table.compression), []
    yield sql.SQL("SELECT remove_compression_policy(%s::regclass, if_exists => true)"), [quoted]
    if table.compression:
        query = sql.SQL("SELECT add_compression_policy(%s::regclass, compress_after => %s::interval)")
        yield query, [quoted, table.compression.after]
    yield sql.SQL("SELECT remove_retention_policy(%s::regclass, if_exists => true)"), [quoted]
    if table.retention:
        query = sql.SQL("SELECT add_retention_policy(%s::regclass, drop_after => %s::interval)")
        yield query, [quoted, table.retention.after]


def compression_settings(name: str, compression: Compression) -> sql.Composed:
    """Return the ALTER TABLE that turns compression on."""
    options = [sql.SQL("timescaledb.compress")]
    for option, columns in (("segmentby", compression.segment_by), ("orderby", compression.order_by)):
        if columns:
            value = sql.Literal(", ".join(columns))
            options.append(sql.SQL("timescaledb.compress_{} = {}").format(sql.SQL(option), value))  # type: ignore[arg-type]
    return sql.SQL("ALTER TABLE {} SET ({})").format(identifier(name), sql.SQL(", ").join(options))


def continuous_aggregate(name: str, aggregate: Aggregate) -> Bound:
    """Return what makes an empty continuous aggregate; `refresh_continuously` fills it."""
    query = sql.SQL("CREATE MATERIALIZED VIEW {} WITH (timescaledb.continuous) AS {} WITH NO DATA")
    return query.format(identifier(name), _query(aggregate)), []


def mark_continuous(name: str, mark: str) -> Bound:
    """Return what marks a continuous aggregate, which counts as a view here."""
    return sql.SQL("COMMENT ON VIEW {} IS {}").format(identifier(name), sql.Literal(mark)), []


def refresh_policy(name: str, aggregate: Aggregate) -> Iterator[Bound]:
    """Yield what makes the policy of a continuous aggregate anew."""
    refresh = aggregate.refresh
    yield sql.SQL("SELECT remove_continuous_aggregate_policy(%s::regclass, if_exists => true)"), [name]
    query = sql.SQL(
        "SELECT add_continuous_aggregate_policy(%s::regclass, start_offset => %s::interval,"
        " end_offset => %s::interval, schedule_interval => %s::interval)"
    )
    yield query, [name, refresh.start_offset, refresh.end_offset, refresh.every]


def refresh_continuously(name: str) -> Bound:
    """Return what fills a continuous aggregate; it must run outside a transaction."""
    return sql.SQL("CALL refresh_continuous_aggregate(%s::regclass, NULL, NULL)"), [name]


def materialized_view(name: str, aggregate: Aggregate, mark: str) -> Iterator[Bound]:
    """Yield what makes and fills the plain materialized view that stands in for a continuous aggregate."""
    yield sql.SQL("CREATE MATERIALIZED VIEW {} AS {}").format(identifier(name), _query(aggregate)), []
    columns = sql.SQL(", ").join(map(sql.Identifier, aggregate.unique))
    yield sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(identifier(name), columns), []
    yield sql.SQL("COMMENT ON MATERIALIZED VIEW {} IS {}").format(identifier(name), sql.Literal(mark)), []


def refresh_view(name: str) -> sql.Composed:
    """Return what computes a materialized view anew while others read it."""
    return sql.SQL("REFRESH MATERIALIZED VIEW CONCURRENTLY {}").format(identifier(name))


def drop_chunks(name: str, retention: Retention) -> Bound:
    """Return what drops the chunks that are too old."""
    return sql.SQL("SELECT drop_chunks(%s::regclass, older_than => %s::interval)"), [name, retention.after]


def _query(aggregate: Aggregate) -> sql.SQL:
    return sql.SQL(aggregate.query.strip().rstrip(";").replace("%", "%%"))
