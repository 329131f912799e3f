CREATE SCHEMA market_data;

CREATE TABLE market_data.stock_prices (
    time     TIMESTAMPTZ NOT NULL,
    symbol   VARCHAR(20) NOT NULL,
    exchange VARCHAR(10) NOT NULL,
    price    NUMERIC(20, 8) NOT NULL,
    bid      NUMERIC(20, 8),
    ask      NUMERIC(20, 8),
    volume   BIGINT NOT NULL,
    source   VARCHAR(50) NOT NULL,
    PRIMARY KEY (symbol, time),
    CONSTRAINT chk_stock_prices_price CHECK (price > 0),
    CONSTRAINT chk_stock_prices_spread CHECK (bid > 0 AND bid <= ask),
    CONSTRAINT chk_stock_prices_volume CHECK (volume >= 0)
);

CREATE TABLE market_data.market_indices (
    time           TIMESTAMPTZ NOT NULL,
    symbol         VARCHAR(20) NOT NULL,
    value          NUMERIC(20, 4) NOT NULL,
    previous_close NUMERIC(20, 4),
    source         VARCHAR(50) NOT NULL,
    PRIMARY KEY (symbol, time),
    CONSTRAINT chk_market_indices_value CHECK (value > 0 AND previous_close > 0)
);

CREATE TABLE market_data.currency_rates (
    time           TIMESTAMPTZ NOT NULL,
    base_currency  CHAR(3) NOT NULL,
    quote_currency CHAR(3) NOT NULL,
    rate           NUMERIC(20, 10) NOT NULL,
    source         VARCHAR(50) NOT NULL,
    PRIMARY KEY (base_currency, quote_currency, time),
    CONSTRAINT chk_currency_rates_codes CHECK (
        base_currency ~ '^[A-Z]{3}$' AND quote_currency ~ '^[A-Z]{3}$' AND base_currency <> quote_currency
    ),
    CONSTRAINT chk_currency_rates_rate CHECK (rate > 0)
);

SELECT create_hypertable('market_data.stock_prices', 'time',
    chunk_time_interval => INTERVAL '7 days', create_default_indexes => FALSE);
SELECT create_hypertable('market_data.market_indices', 'time',
    chunk_time_interval => INTERVAL '90 days', create_default_indexes => FALSE);
SELECT create_hypertable('market_data.currency_rates', 'time',
    chunk_time_interval => INTERVAL '90 days', create_default_indexes => FALSE);

CREATE INDEX idx_stock_prices_time ON market_data.stock_prices (time DESC);
CREATE INDEX idx_market_indices_time ON market_data.market_indices (time DESC);
CREATE INDEX idx_currency_rates_time ON market_data.currency_rates (time DESC);

COMMENT ON SCHEMA market_data IS 'Prices of stocks, indices and currencies';
COMMENT ON TABLE market_data.stock_prices IS 'Stock prices as they come in; volume since the price before';
COMMENT ON TABLE market_data.market_indices IS 'Values of market indices';
COMMENT ON TABLE market_data.currency_rates IS 'How much of the quote currency one unit of the base currency buys';
