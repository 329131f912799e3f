CREATE TABLE events (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type  VARCHAR(50) NOT NULL,
    customer_id VARCHAR(100) NOT NULL,
    source      VARCHAR(50) NOT NULL DEFAULT 'api',
    payload     JSONB NOT NULL DEFAULT '{}',
    occurred_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_events_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT chk_events_source CHECK (source IN ('api', 'webhook', 'import', 'replay'))
);

CREATE INDEX idx_events_customer_time ON events (customer_id, received_at DESC);
CREATE INDEX idx_events_type_time ON events (event_type, received_at DESC);
CREATE INDEX idx_events_received_at ON events USING BRIN (received_at);

COMMENT ON TABLE events IS 'Raw event log, the audit trail: the application adds rows and never changes them';

REVOKE UPDATE, DELETE ON events FROM signals_app;
