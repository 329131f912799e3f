CREATE TABLE signals (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type   VARCHAR(50) NOT NULL,
    customer_id  VARCHAR(100) NOT NULL,
    signal_data  JSONB NOT NULL,
    processed_at TIMESTAMP DEFAULT NOW(),
    created_at   TIMESTAMP DEFAULT NOW()
);

CREATE INDEX idx_signals_customer ON signals (customer_id);
CREATE INDEX idx_signals_event_type ON signals (event_type);
CREATE INDEX idx_signals_processed_at ON signals (processed_at);
CREATE INDEX idx_signals_type_time ON signals (event_type, processed_at DESC);
CREATE INDEX idx_signals_data ON signals USING GIN (signal_data);

COMMENT ON TABLE signals IS 'Processed sales signals; one that came from an event has the id of that event';
COMMENT ON COLUMN signals.customer_id IS 'No foreign key: a signal may arrive before its customer is in the cache';
COMMENT ON COLUMN signals.processed_at IS 'UTC, the time zone of the server';
COMMENT ON COLUMN signals.created_at IS 'UTC, the time zone of the server';
