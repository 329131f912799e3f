-- Description: Create the securities table
CREATE OR REPLACE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE IF NOT EXISTS securities (
    symbol        VARCHAR(20) PRIMARY KEY,
    name          TEXT NOT NULL,
    exchange      CHAR(4) NOT NULL,
    security_type VARCHAR(20) NOT NULL,
    sector        VARCHAR(50),
    currency      CHAR(3) NOT NULL DEFAULT 'USD',
    country       CHAR(2),
    is_active     BOOLEAN NOT NULL DEFAULT TRUE,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_securities_symbol CHECK (symbol = upper(btrim(symbol)) AND symbol <> ''),
    CONSTRAINT chk_securities_name CHECK (btrim(name) <> ''),
    CONSTRAINT chk_securities_exchange CHECK (exchange ~ '^[A-Z0-9]{4}$'),
    CONSTRAINT chk_securities_type CHECK (security_type IN ('equity', 'etf', 'adr', 'fund', 'bond', 'index')),
    CONSTRAINT chk_securities_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT chk_securities_country CHECK (country ~ '^[A-Z]{2}$')
);

CREATE INDEX IF NOT EXISTS idx_securities_exchange ON securities (exchange);
CREATE INDEX IF NOT EXISTS idx_securities_sector ON securities (sector) WHERE is_active;

CREATE OR REPLACE TRIGGER trg_securities_updated_at BEFORE UPDATE ON securities
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE securities IS 'Securities master data; the first rows come from securities.csv';
COMMENT ON COLUMN securities.exchange IS 'Market identifier code, ISO 10383';
COMMENT ON COLUMN securities.sector IS 'GICS sector; empty for funds';
