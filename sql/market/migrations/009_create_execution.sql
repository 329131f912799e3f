CREATE TABLE execution.orders (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    strategy_id  UUID REFERENCES strategies.strategies (id) ON DELETE RESTRICT,
    signal_id    UUID REFERENCES strategies.strategy_signals (id) ON DELETE RESTRICT,
    symbol       VARCHAR(20) NOT NULL,
    side         VARCHAR(4) NOT NULL,
    quantity     NUMERIC(20, 8) NOT NULL,
    limit_price  NUMERIC(20, 8),
    status       VARCHAR(20) NOT NULL DEFAULT 'new',
    broker       VARCHAR(50) NOT NULL,
    submitted_at TIMESTAMPTZ NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_orders_side CHECK (side IN ('buy', 'sell')),
    CONSTRAINT chk_orders_amounts CHECK (quantity > 0 AND limit_price > 0),
    CONSTRAINT chk_orders_status CHECK (status IN ('new', 'accepted', 'partially_filled', 'filled', 'cancelled', 'rejected'))
);

CREATE TABLE execution.fills (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id    UUID NOT NULL REFERENCES execution.orders (id) ON DELETE RESTRICT,
    quantity    NUMERIC(20, 8) NOT NULL,
    price       NUMERIC(20, 8) NOT NULL,
    fees        NUMERIC(20, 8) NOT NULL DEFAULT 0,
    executed_at TIMESTAMPTZ NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_fills_amounts CHECK (quantity > 0 AND price > 0 AND fees >= 0)
);

CREATE INDEX idx_orders_strategy ON execution.orders (strategy_id);
CREATE INDEX idx_orders_signal ON execution.orders (signal_id);
CREATE INDEX idx_orders_symbol_time ON execution.orders (symbol, submitted_at DESC);
CREATE INDEX idx_orders_open ON execution.orders (submitted_at) WHERE status IN ('new', 'accepted', 'partially_filled');
CREATE INDEX idx_fills_order ON execution.fills (order_id);
CREATE INDEX idx_fills_executed_at ON execution.fills (executed_at DESC);

CREATE VIEW execution.positions WITH (security_invoker = true) AS
SELECT
    orders.strategy_id,
    orders.symbol,
    sum(CASE orders.side WHEN 'buy' THEN fills.quantity ELSE -fills.quantity END) AS quantity,
    sum(CASE orders.side WHEN 'buy' THEN -fills.quantity * fills.price ELSE fills.quantity * fills.price END
        - fills.fees) AS cash_flow
FROM execution.fills
JOIN execution.orders ON orders.id = fills.order_id
GROUP BY orders.strategy_id, orders.symbol;

CREATE TRIGGER trg_orders_updated_at BEFORE UPDATE ON execution.orders
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE execution.orders IS 'Orders as sent to a broker';
COMMENT ON TABLE execution.fills IS 'Executions as the broker reported them: rows are added and never changed';
COMMENT ON VIEW execution.positions IS 'What each strategy holds and what it has spent or earned, from the fills';

REVOKE UPDATE, DELETE ON execution.fills FROM market_app;
