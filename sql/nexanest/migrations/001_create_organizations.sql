CREATE FUNCTION set_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := NOW();
    RETURN NEW;
END
$$;

CREATE TABLE currencies (
    code        CHAR(3) PRIMARY KEY,
    name        TEXT NOT NULL,
    minor_units SMALLINT NOT NULL DEFAULT 2,
    CONSTRAINT chk_currencies_code CHECK (code ~ '^[A-Z]{3}$'),
    CONSTRAINT chk_currencies_minor_units CHECK (minor_units BETWEEN 0 AND 4)
);

CREATE TABLE plans (
    id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    code           VARCHAR(50) NOT NULL,
    name           TEXT NOT NULL,
    monthly_price  NUMERIC(12, 2) NOT NULL,
    currency       CHAR(3) NOT NULL REFERENCES currencies (code),
    max_portfolios INTEGER,
    is_active      BOOLEAN NOT NULL DEFAULT TRUE,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_plans_code UNIQUE (code),
    CONSTRAINT chk_plans_price CHECK (monthly_price >= 0),
    CONSTRAINT chk_plans_max_portfolios CHECK (max_portfolios > 0)
);

CREATE TABLE organizations (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    slug       CITEXT NOT NULL,
    name       TEXT NOT NULL,
    country    CHAR(2),
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_organizations_slug UNIQUE (slug),
    CONSTRAINT chk_organizations_slug CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    CONSTRAINT chk_organizations_country CHECK (country ~ '^[A-Z]{2}$')
);

CREATE TABLE organization_members (
    organization_id UUID NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         UUID NOT NULL,
    role            VARCHAR(20) NOT NULL DEFAULT 'member',
    joined_at       TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (organization_id, user_id),
    CONSTRAINT chk_organization_members_role CHECK (role IN ('owner', 'admin', 'member', 'viewer'))
);

CREATE TABLE subscriptions (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id UUID NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    plan_id         UUID NOT NULL REFERENCES plans (id),
    status          VARCHAR(20) NOT NULL DEFAULT 'trialing',
    started_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    renews_at       TIMESTAMPTZ,
    cancelled_at    TIMESTAMPTZ,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_subscriptions_status CHECK (status IN ('trialing', 'active', 'past_due', 'cancelled')),
    CONSTRAINT chk_subscriptions_cancelled CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
    CONSTRAINT chk_subscriptions_times CHECK (renews_at > started_at AND cancelled_at >= started_at)
);

CREATE INDEX idx_plans_currency ON plans (currency);
CREATE INDEX idx_organization_members_user ON organization_members (user_id);
CREATE UNIQUE INDEX uq_organization_members_one_owner ON organization_members (organization_id) WHERE role = 'owner';
CREATE UNIQUE INDEX uq_subscriptions_one_current ON subscriptions (organization_id) WHERE status <> 'cancelled';
CREATE INDEX idx_subscriptions_plan ON subscriptions (plan_id);
CREATE INDEX idx_subscriptions_renews_at ON subscriptions (renews_at) WHERE status IN ('trialing', 'active');

CREATE TRIGGER trg_plans_updated_at BEFORE UPDATE ON plans
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_organizations_updated_at BEFORE UPDATE ON organizations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_subscriptions_updated_at BEFORE UPDATE ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE currencies IS 'Currencies of ISO 4217 that the product knows';
COMMENT ON COLUMN currencies.minor_units IS 'Digits after the decimal point';
COMMENT ON TABLE plans IS 'What can be subscribed to';
COMMENT ON COLUMN plans.max_portfolios IS 'Empty: as many as one likes';
COMMENT ON TABLE organizations IS 'Customers of the product, of one person or many';
COMMENT ON TABLE organization_members IS 'Who belongs to an organization; the users are those of the auth database';
COMMENT ON TABLE subscriptions IS 'Plans of organizations over time, one current for each';
