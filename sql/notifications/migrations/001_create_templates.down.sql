DROP TABLE notification_templates;
DROP TABLE notification_types;
DROP FUNCTION set_updated_at();
