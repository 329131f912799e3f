CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE metric_definitions (
    name        VARCHAR(100) PRIMARY KEY,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    unit        VARCHAR(20) NOT NULL,
    aggregation VARCHAR(10) NOT NULL DEFAULT 'sum',
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_metric_definitions_name CHECK (name ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT chk_metric_definitions_unit CHECK (unit IN ('count', 'percent', 'currency', 'seconds', 'bytes')),
    CONSTRAINT chk_metric_definitions_aggregation CHECK (aggregation IN ('sum', 'avg', 'min', 'max', 'last'))
);

CREATE TABLE daily_metrics (
    metric_name VARCHAR(100) NOT NULL REFERENCES metric_definitions (name) ON UPDATE CASCADE ON DELETE CASCADE,
    day         DATE NOT NULL,
    dimensions  JSONB NOT NULL DEFAULT '{}',
    value       NUMERIC(20, 6) NOT NULL,
    computed_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (metric_name, day, dimensions),
    CONSTRAINT chk_daily_metrics_dimensions_is_object CHECK (jsonb_typeof(dimensions) = 'object')
);

CREATE TABLE user_activity (
    user_id         UUID NOT NULL,
    day             DATE NOT NULL,
    sessions        INTEGER NOT NULL DEFAULT 0,
    page_views      INTEGER NOT NULL DEFAULT 0,
    trades          INTEGER NOT NULL DEFAULT 0,
    seconds_active  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, day),
    CONSTRAINT chk_user_activity_counts CHECK (sessions >= 0 AND page_views >= 0 AND trades >= 0),
    CONSTRAINT chk_user_activity_seconds CHECK (seconds_active BETWEEN 0 AND 86400)
);

CREATE INDEX idx_daily_metrics_day ON daily_metrics (day DESC);
CREATE INDEX idx_daily_metrics_dimensions ON daily_metrics USING GIN (dimensions jsonb_path_ops);
CREATE INDEX idx_user_activity_day ON user_activity (day DESC);

CREATE TRIGGER trg_metric_definitions_updated_at BEFORE UPDATE ON metric_definitions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE metric_definitions IS 'What is measured, and how days are put together';
COMMENT ON TABLE daily_metrics IS 'Figures by day and dimensions; {} is the whole';
COMMENT ON TABLE user_activity IS 'What each user did on a day; the users are those of the auth database';
