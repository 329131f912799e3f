CREATE TABLE strategies.strategies (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name        VARCHAR(100) NOT NULL,
    version     INTEGER NOT NULL DEFAULT 1,
    description TEXT,
    parameters  JSONB NOT NULL DEFAULT '{}',
    symbols     VARCHAR(20)[] NOT NULL,
    status      VARCHAR(20) NOT NULL DEFAULT 'draft',
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_strategies_name_version UNIQUE (name, version),
    CONSTRAINT chk_strategies_version CHECK (version > 0),
    CONSTRAINT chk_strategies_symbols CHECK (cardinality(symbols) > 0),
    CONSTRAINT chk_strategies_status CHECK (status IN ('draft', 'testing', 'active', 'paused', 'retired')),
    CONSTRAINT chk_strategies_parameters_is_object CHECK (jsonb_typeof(parameters) = 'object')
);

CREATE TABLE strategies.backtests (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    strategy_id   UUID NOT NULL REFERENCES strategies.strategies (id) ON DELETE CASCADE,
    period        DATERANGE NOT NULL,
    starting_cash NUMERIC(20, 4) NOT NULL,
    ending_value  NUMERIC(20, 4) NOT NULL,
    total_return  NUMERIC(12, 6) NOT NULL GENERATED ALWAYS AS (ending_value / starting_cash - 1) STORED,
    max_drawdown  NUMERIC(12, 6) NOT NULL,
    sharpe_ratio  NUMERIC(12, 6),
    trades_count  INTEGER NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_backtests_period CHECK (NOT isempty(period)),
    CONSTRAINT chk_backtests_amounts CHECK (starting_cash > 0 AND ending_value >= 0 AND trades_count >= 0),
    CONSTRAINT chk_backtests_drawdown CHECK (max_drawdown BETWEEN 0 AND 1)
);

CREATE TABLE strategies.strategy_signals (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    strategy_id  UUID NOT NULL REFERENCES strategies.strategies (id) ON DELETE CASCADE,
    symbol       VARCHAR(20) NOT NULL,
    direction    VARCHAR(5) NOT NULL,
    strength     NUMERIC(5, 4) NOT NULL,
    generated_at TIMESTAMPTZ NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_strategy_signals UNIQUE (strategy_id, symbol, generated_at),
    CONSTRAINT chk_strategy_signals_direction CHECK (direction IN ('long', 'short', 'flat')),
    CONSTRAINT chk_strategy_signals_strength CHECK (strength BETWEEN 0 AND 1)
);

CREATE INDEX idx_strategies_active ON strategies.strategies (name) WHERE status = 'active';
CREATE INDEX idx_backtests_strategy ON strategies.backtests (strategy_id, created_at DESC);
CREATE INDEX idx_strategy_signals_symbol_time ON strategies.strategy_signals (symbol, generated_at DESC);

CREATE TRIGGER trg_strategies_updated_at BEFORE UPDATE ON strategies.strategies
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE strategies.strategies IS 'Strategies; a changed one is a new version';
COMMENT ON TABLE strategies.backtests IS 'What a strategy would have done over a period';
COMMENT ON TABLE strategies.strategy_signals IS 'What a strategy wants to hold, and how strongly';
