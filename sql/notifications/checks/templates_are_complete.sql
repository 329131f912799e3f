-- Every type has an active template for each of its default channels.
SELECT notification_types.name, wanted
FROM notification_types
CROSS JOIN LATERAL unnest(default_channels) AS wanted
WHERE NOT EXISTS (
    SELECT
    FROM notification_templates
    WHERE notification_templates.type_name = notification_types.name
      AND notification_templates.channel = wanted
      AND notification_templates.is_active
);
