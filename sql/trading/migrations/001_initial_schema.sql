CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE instruments (
    symbol          VARCHAR(20) PRIMARY KEY,
    name            TEXT NOT NULL,
    instrument_type VARCHAR(20) NOT NULL DEFAULT 'equity',
    exchange        VARCHAR(10) NOT NULL,
    currency        CHAR(3) NOT NULL DEFAULT 'USD',
    tick_size       NUMERIC(20, 8) NOT NULL DEFAULT 0.01,
    lot_size        NUMERIC(20, 8) NOT NULL DEFAULT 1,
    is_active       BOOLEAN NOT NULL DEFAULT TRUE,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_instruments_symbol CHECK (symbol = upper(btrim(symbol)) AND symbol <> ''),
    CONSTRAINT chk_instruments_type CHECK (instrument_type IN ('equity', 'etf', 'index', 'fx', 'crypto')),
    CONSTRAINT chk_instruments_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT chk_instruments_sizes CHECK (tick_size > 0 AND lot_size > 0)
);

CREATE TABLE ohlcv (
    symbol      VARCHAR(20) NOT NULL REFERENCES instruments (symbol) ON UPDATE CASCADE,
    timeframe   VARCHAR(10) NOT NULL,
    "timestamp" TIMESTAMPTZ NOT NULL,
    open        NUMERIC(20, 8) NOT NULL,
    high        NUMERIC(20, 8) NOT NULL,
    low         NUMERIC(20, 8) NOT NULL,
    close       NUMERIC(20, 8) NOT NULL,
    volume      BIGINT NOT NULL,
    source      VARCHAR(50) NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (symbol, timeframe, "timestamp"),
    CONSTRAINT chk_ohlcv_timeframe CHECK (timeframe IN ('1m', '5m', '15m', '30m', '1h', '4h', '1d', '1w', '1M')),
    CONSTRAINT chk_ohlcv_prices CHECK (low > 0 AND low <= LEAST(open, close) AND high >= GREATEST(open, close)),
    CONSTRAINT chk_ohlcv_volume CHECK (volume >= 0)
);

CREATE TABLE ohlcv_metadata (
    symbol         VARCHAR(20) NOT NULL REFERENCES instruments (symbol) ON UPDATE CASCADE ON DELETE CASCADE,
    timeframe      VARCHAR(10) NOT NULL,
    first_bar_at   TIMESTAMPTZ,
    last_bar_at    TIMESTAMPTZ,
    bar_count      BIGINT NOT NULL DEFAULT 0,
    source         VARCHAR(50) NOT NULL,
    last_synced_at TIMESTAMPTZ,
    last_error     TEXT,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (symbol, timeframe),
    CONSTRAINT chk_ohlcv_metadata_range CHECK (first_bar_at <= last_bar_at),
    CONSTRAINT chk_ohlcv_metadata_count CHECK (bar_count >= 0)
);

CREATE TABLE trading_accounts (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id       UUID NOT NULL,
    name          VARCHAR(100) NOT NULL,
    account_type  VARCHAR(10) NOT NULL DEFAULT 'paper',
    base_currency CHAR(3) NOT NULL DEFAULT 'USD',
    opening_cash  NUMERIC(20, 4) NOT NULL DEFAULT 0,
    is_active     BOOLEAN NOT NULL DEFAULT TRUE,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_trading_accounts_user_name UNIQUE (user_id, name),
    CONSTRAINT chk_trading_accounts_type CHECK (account_type IN ('paper', 'live')),
    CONSTRAINT chk_trading_accounts_cash CHECK (opening_cash >= 0)
);

CREATE TABLE orders (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id      UUID NOT NULL REFERENCES trading_accounts (id) ON DELETE CASCADE,
    client_order_id VARCHAR(64) NOT NULL,
    symbol          VARCHAR(20) NOT NULL REFERENCES instruments (symbol) ON UPDATE CASCADE,
    side            VARCHAR(4) NOT NULL,
    order_type      VARCHAR(10) NOT NULL,
    time_in_force   VARCHAR(3) NOT NULL DEFAULT 'day',
    quantity        NUMERIC(20, 8) NOT NULL,
    limit_price     NUMERIC(20, 8),
    stop_price      NUMERIC(20, 8),
    status          VARCHAR(20) NOT NULL DEFAULT 'new',
    submitted_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    closed_at       TIMESTAMPTZ,
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_orders_client_order UNIQUE (account_id, client_order_id),
    CONSTRAINT chk_orders_side CHECK (side IN ('buy', 'sell')),
    CONSTRAINT chk_orders_type CHECK (order_type IN ('market', 'limit', 'stop', 'stop_limit')),
    CONSTRAINT chk_orders_time_in_force CHECK (time_in_force IN ('day', 'gtc', 'ioc', 'fok')),
    CONSTRAINT chk_orders_status CHECK (status IN ('new', 'accepted', 'partially_filled', 'filled', 'cancelled', 'rejected', 'expired')),
    CONSTRAINT chk_orders_quantity CHECK (quantity > 0),
    CONSTRAINT chk_orders_limit_price CHECK ((order_type IN ('limit', 'stop_limit')) = (limit_price IS NOT NULL) AND limit_price > 0),
    CONSTRAINT chk_orders_stop_price CHECK ((order_type IN ('stop', 'stop_limit')) = (stop_price IS NOT NULL) AND stop_price > 0),
    CONSTRAINT chk_orders_closed CHECK ((status IN ('filled', 'cancelled', 'rejected', 'expired')) = (closed_at IS NOT NULL))
);

CREATE TABLE fills (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id    UUID NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    quantity    NUMERIC(20, 8) NOT NULL,
    price       NUMERIC(20, 8) NOT NULL,
    commission  NUMERIC(20, 4) NOT NULL DEFAULT 0,
    executed_at TIMESTAMPTZ NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_fills_amounts CHECK (quantity > 0 AND price > 0 AND commission >= 0)
);

CREATE VIEW positions WITH (security_invoker = true) AS
SELECT
    orders.account_id,
    orders.symbol,
    sum(CASE orders.side WHEN 'buy' THEN fills.quantity ELSE -fills.quantity END) AS quantity,
    round(sum(fills.quantity * fills.price) FILTER (WHERE orders.side = 'buy')
        / sum(fills.quantity) FILTER (WHERE orders.side = 'buy'), 8) AS average_buy_price
FROM fills
JOIN orders ON orders.id = fills.order_id
GROUP BY orders.account_id, orders.symbol;

CREATE VIEW account_cash WITH (security_invoker = true) AS
SELECT
    trading_accounts.id AS account_id,
    trading_accounts.opening_cash + COALESCE(sum(
        CASE orders.side WHEN 'buy' THEN -fills.quantity * fills.price ELSE fills.quantity * fills.price END
        - fills.commission), 0) AS cash
FROM trading_accounts
LEFT JOIN orders ON orders.account_id = trading_accounts.id
LEFT JOIN fills ON fills.order_id = orders.id
GROUP BY trading_accounts.id;

CREATE TRIGGER trg_instruments_updated_at BEFORE UPDATE ON instruments
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_ohlcv_metadata_updated_at BEFORE UPDATE ON ohlcv_metadata
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_trading_accounts_updated_at BEFORE UPDATE ON trading_accounts
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_orders_updated_at BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE instruments IS 'What can be charted and traded';
COMMENT ON TABLE ohlcv IS 'Bars, the server side of the browser''s store; the time is the start of the bar';
COMMENT ON TABLE ohlcv_metadata IS 'What the bar store holds for a symbol and timeframe, and how its last synchronisation went';
COMMENT ON TABLE trading_accounts IS 'Paper and live accounts; the user is one of the auth database';
COMMENT ON TABLE orders IS 'Orders as sent; what was done stands in fills';
COMMENT ON TABLE fills IS 'Executions of orders, in whole or in part';
COMMENT ON VIEW positions IS 'Quantity held by account and symbol, from the fills; zero when closed';
COMMENT ON VIEW account_cash IS 'Opening cash less purchases and commissions plus sales';
