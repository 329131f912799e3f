CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE benchmarks (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    symbol      VARCHAR(20) NOT NULL,
    name        TEXT NOT NULL,
    currency    CHAR(3) NOT NULL DEFAULT 'USD',
    description TEXT,
    is_active   BOOLEAN NOT NULL DEFAULT TRUE,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_benchmarks_symbol UNIQUE (symbol)
);

CREATE TABLE portfolios (
    id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id        UUID NOT NULL,
    name           CITEXT NOT NULL,
    description    TEXT,
    portfolio_type VARCHAR(20) NOT NULL DEFAULT 'investment',
    base_currency  CHAR(3) NOT NULL DEFAULT 'USD',
    cash_balance   NUMERIC(20, 4) NOT NULL DEFAULT 0,
    benchmark_id   UUID REFERENCES benchmarks (id) ON DELETE SET NULL,
    is_default     BOOLEAN NOT NULL DEFAULT FALSE,
    closed_at      TIMESTAMPTZ,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_portfolios_user_name UNIQUE (user_id, name),
    CONSTRAINT chk_portfolios_name CHECK (btrim(name) <> '' AND length(name) <= 100),
    CONSTRAINT chk_portfolios_type CHECK (portfolio_type IN ('investment', 'retirement', 'education', 'paper')),
    CONSTRAINT chk_portfolios_currency CHECK (base_currency ~ '^[A-Z]{3}$'),
    CONSTRAINT chk_portfolios_cash CHECK (cash_balance >= 0)
);

CREATE TABLE holdings (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    portfolio_id UUID NOT NULL REFERENCES portfolios (id) ON DELETE CASCADE,
    symbol       VARCHAR(20) NOT NULL,
    asset_class  VARCHAR(20) NOT NULL DEFAULT 'equity',
    quantity     NUMERIC(20, 8) NOT NULL,
    average_cost NUMERIC(20, 8) NOT NULL,
    opened_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    created_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_holdings_portfolio_symbol UNIQUE (portfolio_id, symbol),
    CONSTRAINT chk_holdings_asset_class CHECK (asset_class IN ('equity', 'etf', 'bond', 'fund', 'crypto', 'commodity', 'other')),
    CONSTRAINT chk_holdings_amounts CHECK (quantity > 0 AND average_cost >= 0)
);

CREATE TABLE transactions (
    id               UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    portfolio_id     UUID NOT NULL REFERENCES portfolios (id) ON DELETE CASCADE,
    transaction_type VARCHAR(20) NOT NULL,
    symbol           VARCHAR(20),
    quantity         NUMERIC(20, 8),
    price            NUMERIC(20, 8),
    fees             NUMERIC(20, 4) NOT NULL DEFAULT 0,
    amount           NUMERIC(20, 4) NOT NULL,
    currency         CHAR(3) NOT NULL DEFAULT 'USD',
    executed_at      TIMESTAMPTZ NOT NULL,
    external_id      VARCHAR(100),
    notes            TEXT,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at       TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_transactions_external_id UNIQUE (portfolio_id, external_id),
    CONSTRAINT chk_transactions_type CHECK (
        transaction_type IN ('buy', 'sell', 'dividend', 'deposit', 'withdrawal', 'fee', 'interest')
    ),
    CONSTRAINT chk_transactions_symbol CHECK (
        (transaction_type IN ('buy', 'sell', 'dividend')) = (symbol IS NOT NULL)
    ),
    CONSTRAINT chk_transactions_quantity CHECK (
        (transaction_type IN ('buy', 'sell')) = (quantity IS NOT NULL AND price IS NOT NULL)
        AND quantity > 0 AND price > 0 AND fees >= 0
    ),
    CONSTRAINT chk_transactions_amount CHECK (
        CASE transaction_type
            WHEN 'buy' THEN amount = round(-quantity * price - fees, 4)
            WHEN 'sell' THEN amount = round(quantity * price - fees, 4)
            WHEN 'withdrawal' THEN amount < 0
            WHEN 'fee' THEN amount < 0
            ELSE amount > 0
        END
    )
);

CREATE TABLE portfolio_snapshots (
    id                UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    portfolio_id      UUID NOT NULL REFERENCES portfolios (id) ON DELETE CASCADE,
    snapshot_date     DATE NOT NULL,
    total_value       NUMERIC(20, 4) NOT NULL,
    cash_balance      NUMERIC(20, 4) NOT NULL,
    net_deposits      NUMERIC(20, 4) NOT NULL,
    gain              NUMERIC(20, 4) NOT NULL GENERATED ALWAYS AS (total_value - net_deposits) STORED,
    daily_return      NUMERIC(12, 8),
    created_at        TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_portfolio_snapshots_date UNIQUE (portfolio_id, snapshot_date),
    CONSTRAINT chk_portfolio_snapshots_value CHECK (cash_balance >= 0 AND total_value >= cash_balance)
);

CREATE INDEX idx_portfolios_user ON portfolios (user_id);
CREATE UNIQUE INDEX uq_portfolios_one_default ON portfolios (user_id) WHERE is_default;
CREATE INDEX idx_portfolios_benchmark ON portfolios (benchmark_id);
CREATE INDEX idx_holdings_symbol ON holdings (symbol);
CREATE INDEX idx_transactions_portfolio_time ON transactions (portfolio_id, executed_at DESC);
CREATE INDEX idx_transactions_symbol_time ON transactions (symbol, executed_at DESC) WHERE symbol IS NOT NULL;
CREATE INDEX idx_portfolio_snapshots_date ON portfolio_snapshots (snapshot_date DESC);

CREATE TRIGGER trg_benchmarks_updated_at BEFORE UPDATE ON benchmarks
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_portfolios_updated_at BEFORE UPDATE ON portfolios
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_holdings_updated_at BEFORE UPDATE ON holdings
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_transactions_updated_at BEFORE UPDATE ON transactions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE benchmarks IS 'Market index benchmarks';
COMMENT ON TABLE portfolios IS 'User investment portfolios; the user is one of the auth database';
COMMENT ON COLUMN portfolios.cash_balance IS 'Sum of the amounts of the portfolio''s transactions';
COMMENT ON TABLE holdings IS 'Individual positions: a row while the quantity is above zero';
COMMENT ON COLUMN holdings.average_cost IS 'Average price paid for a unit, without fees';
COMMENT ON TABLE transactions IS 'Everything that moved cash or a position';
COMMENT ON COLUMN transactions.amount IS 'Effect on the cash balance, fees included: negative where money goes out';
COMMENT ON TABLE portfolio_snapshots IS 'Daily performance snapshots';
COMMENT ON COLUMN portfolio_snapshots.daily_return IS 'Against the day before, without deposits and withdrawals; 0.01 is one per cent';
