CREATE TABLE watchlists (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id     UUID NOT NULL,
    name        CITEXT NOT NULL,
    symbol      VARCHAR(20) NOT NULL,
    alert_above NUMERIC(20, 8),
    alert_below NUMERIC(20, 8),
    alerted_at  TIMESTAMPTZ,
    notes       TEXT,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_watchlists_user_name_symbol UNIQUE (user_id, name, symbol),
    CONSTRAINT chk_watchlists_name CHECK (btrim(name) <> ''),
    CONSTRAINT chk_watchlists_alerts CHECK (alert_above > 0 AND alert_below > 0 AND alert_below < alert_above)
);

CREATE TABLE portfolio_goals (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    portfolio_id  UUID NOT NULL REFERENCES portfolios (id) ON DELETE CASCADE,
    name          VARCHAR(100) NOT NULL,
    target_amount NUMERIC(20, 4) NOT NULL,
    target_date   DATE,
    status        VARCHAR(20) NOT NULL DEFAULT 'active',
    achieved_at   TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_portfolio_goals_name UNIQUE (portfolio_id, name),
    CONSTRAINT chk_portfolio_goals_amount CHECK (target_amount > 0),
    CONSTRAINT chk_portfolio_goals_status CHECK (status IN ('active', 'achieved', 'abandoned')),
    CONSTRAINT chk_portfolio_goals_achieved CHECK ((status = 'achieved') = (achieved_at IS NOT NULL))
);

CREATE TABLE allocation_rules (
    id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    portfolio_id   UUID NOT NULL REFERENCES portfolios (id) ON DELETE CASCADE,
    asset_class    VARCHAR(20) NOT NULL,
    target_percent NUMERIC(5, 2) NOT NULL,
    min_percent    NUMERIC(5, 2) NOT NULL,
    max_percent    NUMERIC(5, 2) NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_allocation_rules_class UNIQUE (portfolio_id, asset_class),
    CONSTRAINT chk_allocation_rules_asset_class CHECK (
        asset_class IN ('cash', 'equity', 'etf', 'bond', 'fund', 'crypto', 'commodity', 'other')
    ),
    CONSTRAINT chk_allocation_rules_percent CHECK (
        0 <= min_percent AND min_percent <= target_percent AND target_percent <= max_percent AND max_percent <= 100
    )
);

CREATE INDEX idx_watchlists_symbol ON watchlists (symbol) WHERE alert_above IS NOT NULL OR alert_below IS NOT NULL;
CREATE INDEX idx_portfolio_goals_open ON portfolio_goals (target_date) WHERE status = 'active';

CREATE TRIGGER trg_watchlists_updated_at BEFORE UPDATE ON watchlists
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_portfolio_goals_updated_at BEFORE UPDATE ON portfolio_goals
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_allocation_rules_updated_at BEFORE UPDATE ON allocation_rules
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE watchlists IS 'User watchlists and alerts: a row for each symbol on a list';
COMMENT ON TABLE portfolio_goals IS 'Investment goals and targets';
COMMENT ON TABLE allocation_rules IS 'Asset allocation rules: what share of a portfolio a class should and may have';
