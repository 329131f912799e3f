CREATE TABLE events.event_data (
    id             UUID DEFAULT gen_random_uuid() PRIMARY KEY,
    event_type     VARCHAR(50) NOT NULL,
    event_datetime TIMESTAMPTZ NOT NULL,
    event_name     VARCHAR(200) NOT NULL,
    description    TEXT,
    impact_level   INTEGER CHECK (impact_level BETWEEN 1 AND 4),
    symbol         VARCHAR(20),
    currency       VARCHAR(10),
    country        VARCHAR(10),
    actual         NUMERIC(20, 8),
    forecast       NUMERIC(20, 8),
    previous       NUMERIC(20, 8),
    source         VARCHAR(50) NOT NULL,
    created_at     TIMESTAMPTZ DEFAULT NOW()
);

CREATE INDEX idx_events_datetime ON events.event_data (event_datetime DESC);
CREATE INDEX idx_events_symbol ON events.event_data (symbol);
CREATE INDEX idx_events_type ON events.event_data (event_type);

COMMENT ON TABLE events.event_data IS 'Releases, earnings and decisions, with what was expected and what came';
COMMENT ON COLUMN events.event_data.impact_level IS '1 low, 2 medium, 3 high, 4 critical';
