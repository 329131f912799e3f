UPDATE feature_flags
SET is_enabled = TRUE, rollout_percent = 100
WHERE NOT is_enabled OR rollout_percent < 100;
