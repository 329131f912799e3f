CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE customers (
    customer_id   VARCHAR(100) PRIMARY KEY,
    name          TEXT NOT NULL,
    email         TEXT,
    segment       VARCHAR(20) NOT NULL DEFAULT 'smb',
    country       CHAR(2),
    attributes    JSONB NOT NULL DEFAULT '{}',
    source_system VARCHAR(50) NOT NULL DEFAULT 'crm',
    refreshed_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_customers_name CHECK (btrim(name) <> ''),
    CONSTRAINT chk_customers_email CHECK (email LIKE '%_@_%'),
    CONSTRAINT chk_customers_segment CHECK (segment IN ('consumer', 'smb', 'mid_market', 'enterprise')),
    CONSTRAINT chk_customers_country CHECK (country ~ '^[A-Z]{2}$'),
    CONSTRAINT chk_customers_attributes_is_object CHECK (jsonb_typeof(attributes) = 'object')
);

CREATE INDEX idx_customers_email ON customers (lower(email));
CREATE INDEX idx_customers_segment ON customers (segment);
CREATE INDEX idx_customers_refreshed_at ON customers (refreshed_at);

CREATE TRIGGER trg_customers_updated_at BEFORE UPDATE ON customers
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE customers IS 'Customer metadata cache, filled from the source system';
COMMENT ON COLUMN customers.refreshed_at IS 'When the source system was last asked';
