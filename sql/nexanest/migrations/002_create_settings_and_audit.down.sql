DROP TABLE audit_log;
DROP TABLE feature_flag_overrides;
DROP TABLE feature_flags;
DROP TABLE system_settings;
