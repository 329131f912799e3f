CREATE TABLE economic_data.economic_data (
    id             UUID DEFAULT gen_random_uuid(),
    symbol         VARCHAR(50) NOT NULL,
    date           TIMESTAMPTZ NOT NULL,
    value          NUMERIC(20, 8) NOT NULL,
    is_preliminary BOOLEAN DEFAULT FALSE,
    revision_date  TIMESTAMPTZ,
    source         VARCHAR(50) NOT NULL DEFAULT 'FRED',
    created_at     TIMESTAMPTZ DEFAULT NOW(),
    updated_at     TIMESTAMPTZ DEFAULT NOW(),
    PRIMARY KEY (symbol, date)
);

ALTER TABLE economic_data.economic_data ADD CONSTRAINT uq_econ_symbol_date UNIQUE (symbol, date);

CREATE INDEX idx_econ_symbol_date ON economic_data.economic_data (symbol, date DESC);
CREATE INDEX idx_econ_date ON economic_data.economic_data (date DESC);

CREATE TRIGGER trg_economic_data_updated_at BEFORE UPDATE ON economic_data.economic_data
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE economic_data.economic_data IS 'Observations of economic indicators';
COMMENT ON COLUMN economic_data.economic_data.symbol IS 'Series of the source, for example GDPC1 of FRED';
COMMENT ON COLUMN economic_data.economic_data.date IS 'The period that the value is about';
