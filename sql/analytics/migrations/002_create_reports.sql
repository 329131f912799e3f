CREATE TABLE report_definitions (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_user_id UUID,
    name          VARCHAR(100) NOT NULL,
    description   TEXT,
    report_type   VARCHAR(50) NOT NULL,
    parameters    JSONB NOT NULL DEFAULT '{}',
    schedule      VARCHAR(100),
    is_active     BOOLEAN NOT NULL DEFAULT TRUE,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_report_definitions_owner_name UNIQUE NULLS NOT DISTINCT (owner_user_id, name),
    CONSTRAINT chk_report_definitions_type CHECK (report_type IN ('performance', 'allocation', 'activity', 'tax', 'usage')),
    CONSTRAINT chk_report_definitions_parameters_is_object CHECK (jsonb_typeof(parameters) = 'object'),
    CONSTRAINT chk_report_definitions_schedule CHECK (schedule ~ '^\S+( \S+){4}$')
);

CREATE TABLE report_runs (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    report_id    UUID NOT NULL REFERENCES report_definitions (id) ON DELETE CASCADE,
    status       VARCHAR(20) NOT NULL DEFAULT 'queued',
    period       DATERANGE NOT NULL,
    requested_by UUID,
    queued_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    started_at   TIMESTAMPTZ,
    finished_at  TIMESTAMPTZ,
    row_count    BIGINT,
    result       JSONB,
    error        TEXT,
    CONSTRAINT chk_report_runs_status CHECK (status IN ('queued', 'running', 'finished', 'failed', 'cancelled')),
    CONSTRAINT chk_report_runs_times CHECK (started_at >= queued_at AND finished_at >= started_at),
    CONSTRAINT chk_report_runs_finished CHECK (status <> 'finished' OR (finished_at IS NOT NULL AND result IS NOT NULL)),
    CONSTRAINT chk_report_runs_error CHECK ((status = 'failed') = (error IS NOT NULL)),
    CONSTRAINT chk_report_runs_period CHECK (NOT isempty(period))
);

CREATE TABLE dashboards (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_user_id UUID NOT NULL,
    name          VARCHAR(100) NOT NULL,
    is_shared     BOOLEAN NOT NULL DEFAULT FALSE,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_dashboards_owner_name UNIQUE (owner_user_id, name)
);

CREATE TABLE dashboard_widgets (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    dashboard_id UUID NOT NULL REFERENCES dashboards (id) ON DELETE CASCADE,
    metric_name  VARCHAR(100) NOT NULL REFERENCES metric_definitions (name) ON UPDATE CASCADE,
    widget_type  VARCHAR(20) NOT NULL,
    position     SMALLINT NOT NULL,
    options      JSONB NOT NULL DEFAULT '{}',
    created_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_dashboard_widgets_position UNIQUE (dashboard_id, position) DEFERRABLE,
    CONSTRAINT chk_dashboard_widgets_type CHECK (widget_type IN ('number', 'line', 'bar', 'pie', 'table')),
    CONSTRAINT chk_dashboard_widgets_position CHECK (position > 0)
);

CREATE INDEX idx_report_definitions_scheduled ON report_definitions (schedule) WHERE is_active AND schedule IS NOT NULL;
CREATE INDEX idx_report_runs_report_time ON report_runs (report_id, queued_at DESC);
CREATE INDEX idx_report_runs_open ON report_runs (queued_at) WHERE status IN ('queued', 'running');
CREATE INDEX idx_dashboard_widgets_metric ON dashboard_widgets (metric_name);

CREATE VIEW latest_report_runs WITH (security_invoker = true) AS
SELECT DISTINCT ON (report_id) report_id, id AS run_id, status, period, finished_at, row_count, result
FROM report_runs
ORDER BY report_id, queued_at DESC;

CREATE TRIGGER trg_report_definitions_updated_at BEFORE UPDATE ON report_definitions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_dashboards_updated_at BEFORE UPDATE ON dashboards
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_dashboard_widgets_updated_at BEFORE UPDATE ON dashboard_widgets
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE report_definitions IS 'Reports that can be run; one without an owner is for everybody';
COMMENT ON COLUMN report_definitions.schedule IS 'Five fields as of cron, in UTC; empty: on request only';
COMMENT ON TABLE report_runs IS 'Runs of reports and what came out';
COMMENT ON TABLE dashboards IS 'Dashboards of users';
COMMENT ON TABLE dashboard_widgets IS 'What a dashboard shows, in order';
COMMENT ON VIEW latest_report_runs IS 'The latest run of each report';
