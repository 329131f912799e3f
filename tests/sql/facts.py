"""What the ten databases must hold, as tables of facts."""

from __future__ import annotations

SCHEMAS = {
    "market": ["market_data", "economic_data", "news", "events", "derived", "strategies", "execution"],
    "timeseries": ["market_data", "analytics_ts", "events"],
}

TABLES = {
    "nexanest": ["public.organizations", "public.organization_members", "public.audit_log"],
    "auth": [
        "public.users",
        "public.user_profiles",
        "public.refresh_tokens",
        "public.api_keys",
        "public.password_reset_tokens",
        "public.email_verification_tokens",
        "public.login_attempts",
        "public.user_sessions",
        "audit.details",
        "audit.entries",
    ],
    "portfolio": [
        "public.portfolios",
        "public.holdings",
        "public.transactions",
        "public.portfolio_snapshots",
        "public.benchmarks",
        "public.watchlists",
        "public.portfolio_goals",
        "public.allocation_rules",
        "audit.details",
        "audit.entries",
    ],
    "analytics": ["public.daily_metrics", "public.report_definitions", "public.report_runs"],
    "notifications": [
        "public.notification_templates",
        "public.notification_deliveries",
        "public.notification_preferences",
        "public.notifications",
    ],
    "timeseries": [
        "market_data.stock_prices",
        "market_data.market_indices",
        "market_data.currency_rates",
        "analytics_ts.portfolio_snapshots",
        "analytics_ts.risk_metrics",
        "events.system_events",
        "events.trading_events",
    ],
    "signals": ["public.signals", "public.events", "public.customers"],
    "trading": ["public.ohlcv", "public.ohlcv_metadata", "public.user_preferences", "public.user_settings"],
    "securities": ["public.securities", "public.trades"],
    "market": [
        "market_data.ohlcv",
        "market_data.ohlcv_archive",
        "economic_data.economic_data",
        "news.news_articles",
        "events.event_data",
        "derived.indicators",
        "strategies.strategies",
        "execution.orders",
        "execution.fills",
    ],
}

EXACTLY_THESE_TABLES = ["auth", "portfolio", "timeseries", "signals"]

MIGRATIONS = {
    "signals": ["001_create_signals.sql"],
    "trading": ["001_initial_schema.sql", "002_add_user_preferences.sql", "003_update_indexes.sql"],
    "securities": ["1.sql", "2.sql", "3.sql"],
}

_OHLCV = """
    id uuid DEFAULT gen_random_uuid()
    symbol character varying(20) NOT NULL
    timestamp timestamp with time zone NOT NULL
    open numeric(20,8) NOT NULL
    high numeric(20,8) NOT NULL
    low numeric(20,8) NOT NULL
    close numeric(20,8) NOT NULL
    volume bigint NOT NULL
    vwap numeric(20,8)
    trades_count integer
    timeframe character varying(10) NOT NULL
    source character varying(50) NOT NULL
    created_at timestamp with time zone DEFAULT now()
    updated_at timestamp with time zone DEFAULT now()
"""

COLUMNS = {
    ("signals", "public.signals"): """
        id uuid NOT NULL DEFAULT gen_random_uuid()
        event_type character varying(50) NOT NULL
        customer_id character varying(100) NOT NULL
        signal_data jsonb NOT NULL
        processed_at timestamp without time zone DEFAULT now()
        created_at timestamp without time zone DEFAULT now()
    """,
    ("market", "market_data.ohlcv"): _OHLCV,
    ("market", "market_data.ohlcv_archive"): _OHLCV,
    ("market", "economic_data.economic_data"): """
        id uuid DEFAULT gen_random_uuid()
        symbol character varying(50) NOT NULL
        date timestamp with time zone NOT NULL
        value numeric(20,8) NOT NULL
        is_preliminary boolean DEFAULT false
        revision_date timestamp with time zone
        source character varying(50) NOT NULL DEFAULT 'FRED'::character varying
        created_at timestamp with time zone DEFAULT now()
        updated_at timestamp with time zone DEFAULT now()
    """,
    ("market", "news.news_articles"): """
        id uuid NOT NULL DEFAULT gen_random_uuid()
        title text NOT NULL
        description text
        content text
        url text NOT NULL
        source character varying(100)
        author character varying(200)
        published_at timestamp with time zone NOT NULL
        created_at timestamp with time zone DEFAULT now()
    """,
    ("market", "events.event_data"): """
        id uuid NOT NULL DEFAULT gen_random_uuid()
        event_type character varying(50) NOT NULL
        event_datetime timestamp with time zone NOT NULL
        event_name character varying(200) NOT NULL
        description text
        impact_level integer
        symbol character varying(20)
        currency character varying(10)
        country character varying(10)
        actual numeric(20,8)
        forecast numeric(20,8)
        previous numeric(20,8)
        source character varying(50) NOT NULL
        created_at timestamp with time zone DEFAULT now()
    """,
}

INDEXES = [
    ("signals", "public.idx_signals_customer", "public.signals USING btree (customer_id)"),
    ("signals", "public.idx_signals_event_type", "public.signals USING btree (event_type)"),
    ("signals", "public.idx_signals_processed_at", "public.signals USING btree (processed_at)"),
    ("signals", "public.idx_signals_type_time", "public.signals USING btree (event_type, processed_at DESC)"),
    ("signals", "public.idx_signals_data", "public.signals USING gin (signal_data)"),
    ("market", "market_data.idx_ohlcv_symbol_time", 'market_data.ohlcv USING btree (symbol, "timestamp" DESC)'),
    ("market", "market_data.idx_ohlcv_timestamp", 'market_data.ohlcv USING btree ("timestamp" DESC)'),
    ("market", "economic_data.idx_econ_symbol_date", "economic_data.economic_data USING btree (symbol, date DESC)"),
    ("market", "economic_data.idx_econ_date", "economic_data.economic_data USING btree (date DESC)"),
    ("market", "news.idx_news_published", "news.news_articles USING btree (published_at DESC)"),
    ("market", "news.idx_news_source", "news.news_articles USING btree (source)"),
    ("market", "events.idx_events_datetime", "events.event_data USING btree (event_datetime DESC)"),
    ("market", "events.idx_events_symbol", "events.event_data USING btree (symbol)"),
    ("market", "events.idx_events_type", "events.event_data USING btree (event_type)"),
]

CONSTRAINTS = [
    ("signals", "public.signals", "signals_pkey", "PRIMARY KEY (id)"),
    ("market", "market_data.ohlcv", "ohlcv_pkey", 'PRIMARY KEY (symbol, "timestamp")'),
    ("market", "market_data.ohlcv", "uq_ohlcv_symbol_time", 'UNIQUE (symbol, "timestamp")'),
    ("market", "market_data.ohlcv", "chk_high_low", "CHECK ((high >= low))"),
    ("market", "market_data.ohlcv", "chk_high_prices", "CHECK (((high >= open) AND (high >= close)))"),
    ("market", "market_data.ohlcv", "chk_low_prices", "CHECK (((low <= open) AND (low <= close)))"),
    ("market", "market_data.ohlcv", "ohlcv_open_check", "CHECK ((open > (0)::numeric))"),
    ("market", "market_data.ohlcv", "ohlcv_high_check", "CHECK ((high > (0)::numeric))"),
    ("market", "market_data.ohlcv", "ohlcv_low_check", "CHECK ((low > (0)::numeric))"),
    ("market", "market_data.ohlcv", "ohlcv_close_check", "CHECK ((close > (0)::numeric))"),
    ("market", "market_data.ohlcv", "ohlcv_volume_check", "CHECK ((volume >= 0))"),
    ("market", "economic_data.economic_data", "economic_data_pkey", "PRIMARY KEY (symbol, date)"),
    ("market", "economic_data.economic_data", "uq_econ_symbol_date", "UNIQUE (symbol, date)"),
    ("market", "news.news_articles", "news_articles_pkey", "PRIMARY KEY (id)"),
    ("market", "news.news_articles", "news_articles_url_key", "UNIQUE (url)"),
    ("market", "events.event_data", "event_data_pkey", "PRIMARY KEY (id)"),
    (
        "market",
        "events.event_data",
        "event_data_impact_level_check",
        "CHECK (((impact_level >= 1) AND (impact_level <= 4)))",
    ),
]

HYPERTABLES = [
    ("market", "market_data.ohlcv", "timestamp", 7),
    ("market", "market_data.ohlcv_archive", "timestamp", 90),
    ("timeseries", "market_data.stock_prices", "time", 7),
    ("timeseries", "market_data.market_indices", "time", 90),
    ("timeseries", "market_data.currency_rates", "time", 90),
    ("timeseries", "analytics_ts.portfolio_snapshots", "time", 90),
    ("timeseries", "analytics_ts.risk_metrics", "time", 90),
    ("timeseries", "events.system_events", "time", 7),
    ("timeseries", "events.trading_events", "time", 30),
    ("securities", "public.trades", "executed_at", 7),
]

AGGREGATES = [
    ("market", "market_data.ohlcv_daily", ["symbol", "day", "open", "high", "low", "close", "volume", "vwap"]),
    ("timeseries", "market_data.stock_prices_daily", ["symbol", "day", "open", "high", "low", "close", "volume"]),
    ("timeseries", "events.system_events_hourly", ["service", "severity", "hour", "events"]),
    ("securities", "public.trades_hourly", ["symbol", "hour", "open", "high", "low", "close", "volume", "trades"]),
]

# database, login, what it may do to a table, what it may not
LOGINS = [
    ("nexanest", "nexanest", "public.organizations", "SELECT INSERT UPDATE DELETE", "TRUNCATE"),
    ("timeseries", "timescale", "market_data.stock_prices", "SELECT INSERT UPDATE DELETE", "TRUNCATE"),
    ("market", "tetra_user", "market_data.ohlcv", "SELECT INSERT UPDATE DELETE", "TRUNCATE"),
    ("market", "tetra_app", "market_data.ohlcv", "SELECT INSERT UPDATE", "DELETE TRUNCATE"),
    ("market", "tetra_app", "strategies.strategies", "SELECT INSERT UPDATE", "DELETE TRUNCATE"),
    ("market", "tetra_reader", "market_data.ohlcv", "SELECT", "INSERT UPDATE DELETE TRUNCATE"),
    ("market", "tetra_reader", "economic_data.economic_data", "SELECT", "INSERT UPDATE DELETE TRUNCATE"),
    ("market", "tetra_reader", "news.news_articles", "", "SELECT INSERT UPDATE DELETE TRUNCATE"),
]

# database, table, what the application's role may not do to it
NARROWED = [
    ("signals", "public.events", "UPDATE DELETE"),
    ("nexanest", "public.audit_log", "UPDATE DELETE"),
    ("auth", "public.login_attempts", "INSERT UPDATE DELETE"),
    ("auth", "audit.entries", "SELECT INSERT UPDATE DELETE"),
    ("auth", "audit.details", "SELECT INSERT UPDATE DELETE"),
    ("portfolio", "audit.entries", "SELECT INSERT UPDATE DELETE"),
    ("portfolio", "audit.details", "SELECT INSERT UPDATE DELETE"),
    ("timeseries", "events.system_events", "UPDATE DELETE"),
    ("timeseries", "events.trading_events", "UPDATE DELETE"),
    ("market", "execution.fills", "UPDATE DELETE"),
]
