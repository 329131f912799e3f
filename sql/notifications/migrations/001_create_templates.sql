CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE notification_types (
    name             VARCHAR(100) PRIMARY KEY,
    description      TEXT NOT NULL,
    category         VARCHAR(20) NOT NULL,
    default_channels VARCHAR(10)[] NOT NULL DEFAULT '{in_app}',
    can_be_muted     BOOLEAN NOT NULL DEFAULT TRUE,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at       TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_notification_types_name CHECK (name ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$'),
    CONSTRAINT chk_notification_types_category CHECK (category IN ('security', 'account', 'portfolio', 'market', 'product')),
    CONSTRAINT chk_notification_types_channels CHECK (
        cardinality(default_channels) > 0 AND default_channels <@ ARRAY['email', 'sms', 'push', 'in_app']::varchar[]
    )
);

CREATE TABLE notification_templates (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    type_name  VARCHAR(100) NOT NULL REFERENCES notification_types (name) ON UPDATE CASCADE ON DELETE CASCADE,
    channel    VARCHAR(10) NOT NULL,
    locale     VARCHAR(35) NOT NULL DEFAULT 'en-US',
    version    INTEGER NOT NULL DEFAULT 1,
    subject    TEXT,
    body       TEXT NOT NULL,
    is_active  BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_notification_templates_version UNIQUE (type_name, channel, locale, version),
    CONSTRAINT chk_notification_templates_channel CHECK (channel IN ('email', 'sms', 'push', 'in_app')),
    CONSTRAINT chk_notification_templates_version CHECK (version > 0),
    CONSTRAINT chk_notification_templates_subject CHECK ((channel = 'email') = (subject IS NOT NULL)),
    CONSTRAINT chk_notification_templates_body CHECK (btrim(body) <> '')
);

CREATE UNIQUE INDEX uq_notification_templates_one_active ON notification_templates (type_name, channel, locale) WHERE is_active;

CREATE TRIGGER trg_notification_types_updated_at BEFORE UPDATE ON notification_types
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_notification_templates_updated_at BEFORE UPDATE ON notification_templates
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE notification_types IS 'What users can be told about';
COMMENT ON COLUMN notification_types.can_be_muted IS 'False for what everybody has to be told, such as a new sign-in';
COMMENT ON TABLE notification_templates IS 'Texts by type, channel and language, one version active; {name} stands for a value of the notification';
