CREATE TABLE system_settings (
    key         VARCHAR(100) PRIMARY KEY,
    value       JSONB NOT NULL,
    description TEXT NOT NULL,
    updated_by  UUID,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_system_settings_key CHECK (key ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$')
);

CREATE TABLE feature_flags (
    name            VARCHAR(100) PRIMARY KEY,
    description     TEXT NOT NULL,
    is_enabled      BOOLEAN NOT NULL DEFAULT FALSE,
    rollout_percent SMALLINT NOT NULL DEFAULT 100,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_feature_flags_name CHECK (name ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT chk_feature_flags_rollout CHECK (rollout_percent BETWEEN 0 AND 100)
);

CREATE TABLE feature_flag_overrides (
    flag_name       VARCHAR(100) NOT NULL REFERENCES feature_flags (name) ON UPDATE CASCADE ON DELETE CASCADE,
    organization_id UUID NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    is_enabled      BOOLEAN NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (flag_name, organization_id)
);

CREATE TABLE audit_log (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    actor_user_id   UUID,
    organization_id UUID,
    service         VARCHAR(50) NOT NULL,
    action          VARCHAR(100) NOT NULL,
    object_type     VARCHAR(50) NOT NULL,
    object_id       TEXT,
    ip_address      INET,
    changes         JSONB NOT NULL DEFAULT '{}',
    CONSTRAINT chk_audit_log_changes_is_object CHECK (jsonb_typeof(changes) = 'object')
);

CREATE INDEX idx_feature_flag_overrides_organization ON feature_flag_overrides (organization_id);
CREATE INDEX idx_audit_log_occurred_at ON audit_log USING BRIN (occurred_at);
CREATE INDEX idx_audit_log_actor_time ON audit_log (actor_user_id, occurred_at DESC);
CREATE INDEX idx_audit_log_organization_time ON audit_log (organization_id, occurred_at DESC);
CREATE INDEX idx_audit_log_object ON audit_log (object_type, object_id);

CREATE TRIGGER trg_system_settings_updated_at BEFORE UPDATE ON system_settings
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_feature_flags_updated_at BEFORE UPDATE ON feature_flags
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE system_settings IS 'Settings of the product that are changed while it runs; no secrets';
COMMENT ON TABLE feature_flags IS 'Features that can be switched on and off';
COMMENT ON TABLE feature_flag_overrides IS 'Features that an organization has or has not, whatever the rollout says';
COMMENT ON TABLE audit_log IS 'Who did what: rows are added and never changed; no foreign keys, so that it outlives what it tells of';

REVOKE UPDATE, DELETE ON audit_log FROM nexanest_app;
