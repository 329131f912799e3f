-- Nobody has muted what everybody has to be told.
SELECT notification_preferences.user_id, type_name, channel
FROM notification_preferences
JOIN notification_types ON notification_types.name = notification_preferences.type_name
WHERE NOT is_enabled
  AND NOT can_be_muted;
