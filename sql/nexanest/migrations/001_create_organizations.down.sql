DROP TABLE subscriptions;
DROP TABLE organization_members;
DROP TABLE organizations;
DROP TABLE plans;
DROP TABLE currencies;
DROP FUNCTION set_updated_at();
