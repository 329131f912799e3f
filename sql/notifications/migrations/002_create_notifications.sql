CREATE TABLE user_contacts (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id     UUID NOT NULL,
    channel     VARCHAR(10) NOT NULL,
    address     CITEXT NOT NULL,
    verified_at TIMESTAMPTZ,
    disabled_at TIMESTAMPTZ,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_user_contacts_address UNIQUE (user_id, channel, address),
    CONSTRAINT chk_user_contacts_address CHECK (
        CASE channel
            WHEN 'email' THEN address ~ '^[^@\s]+@[^@\s]+$'
            WHEN 'sms' THEN address ~ '^\+[1-9][0-9]{6,14}$'
            WHEN 'push' THEN btrim(address) <> ''
            ELSE FALSE
        END
    )
);

CREATE TABLE notification_preferences (
    user_id     UUID NOT NULL,
    type_name   VARCHAR(100) NOT NULL REFERENCES notification_types (name) ON UPDATE CASCADE ON DELETE CASCADE,
    channel     VARCHAR(10) NOT NULL,
    is_enabled  BOOLEAN NOT NULL,
    quiet_from  TIME,
    quiet_until TIME,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (user_id, type_name, channel),
    CONSTRAINT chk_notification_preferences_channel CHECK (channel IN ('email', 'sms', 'push', 'in_app')),
    CONSTRAINT chk_notification_preferences_quiet CHECK ((quiet_from IS NULL) = (quiet_until IS NULL) AND quiet_from <> quiet_until)
);

CREATE TABLE notifications (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    UUID NOT NULL,
    type_name  VARCHAR(100) NOT NULL REFERENCES notification_types (name) ON UPDATE CASCADE,
    priority   VARCHAR(10) NOT NULL DEFAULT 'normal',
    payload    JSONB NOT NULL DEFAULT '{}',
    dedupe_key VARCHAR(200),
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    read_at    TIMESTAMPTZ,
    expires_at TIMESTAMPTZ,
    CONSTRAINT uq_notifications_dedupe_key UNIQUE (user_id, dedupe_key),
    CONSTRAINT chk_notifications_priority CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    CONSTRAINT chk_notifications_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT chk_notifications_times CHECK (read_at >= created_at AND expires_at > created_at)
);

CREATE TABLE notification_deliveries (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    notification_id UUID NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    template_id     UUID REFERENCES notification_templates (id) ON DELETE SET NULL,
    channel         VARCHAR(10) NOT NULL,
    status          VARCHAR(20) NOT NULL DEFAULT 'queued',
    attempts        SMALLINT NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ,
    provider        VARCHAR(50),
    provider_id     VARCHAR(200),
    last_error      TEXT,
    sent_at         TIMESTAMPTZ,
    delivered_at    TIMESTAMPTZ,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_notification_deliveries_channel UNIQUE (notification_id, channel),
    CONSTRAINT chk_notification_deliveries_channel CHECK (channel IN ('email', 'sms', 'push', 'in_app')),
    CONSTRAINT chk_notification_deliveries_status CHECK (status IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'suppressed')),
    CONSTRAINT chk_notification_deliveries_attempts CHECK (attempts >= 0),
    CONSTRAINT chk_notification_deliveries_sent CHECK (status NOT IN ('sent', 'delivered') OR sent_at IS NOT NULL),
    CONSTRAINT chk_notification_deliveries_delivered CHECK ((status = 'delivered') = (delivered_at IS NOT NULL) AND delivered_at >= sent_at),
    CONSTRAINT chk_notification_deliveries_failed CHECK (status <> 'failed' OR last_error IS NOT NULL)
);

CREATE INDEX idx_notification_preferences_type ON notification_preferences (type_name);
CREATE INDEX idx_notifications_user_time ON notifications (user_id, created_at DESC);
CREATE INDEX idx_notifications_unread ON notifications (user_id) WHERE read_at IS NULL;
CREATE INDEX idx_notifications_type ON notifications (type_name);
CREATE INDEX idx_notification_deliveries_queue ON notification_deliveries (next_attempt_at) WHERE status IN ('queued', 'sending');
CREATE INDEX idx_notification_deliveries_template ON notification_deliveries (template_id);
CREATE INDEX idx_notification_deliveries_provider ON notification_deliveries (provider, provider_id) WHERE provider_id IS NOT NULL;

CREATE TRIGGER trg_user_contacts_updated_at BEFORE UPDATE ON user_contacts
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_notification_preferences_updated_at BEFORE UPDATE ON notification_preferences
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_notification_deliveries_updated_at BEFORE UPDATE ON notification_deliveries
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE user_contacts IS 'Where a user can be reached; the users are those of the auth database';
COMMENT ON TABLE notification_preferences IS 'What a user wants where it differs from the default of the type; quiet hours in the user''s time zone';
COMMENT ON TABLE notifications IS 'What a user is told, once, whatever the channels';
COMMENT ON COLUMN notifications.dedupe_key IS 'Two notifications of a user with the same key are one';
COMMENT ON TABLE notification_deliveries IS 'A notification on a channel: queued, tried, arrived or not';
