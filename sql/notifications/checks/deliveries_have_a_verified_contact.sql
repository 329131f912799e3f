-- What was delivered by e-mail or push went to a user with a verified contact on that channel.
SELECT notification_deliveries.id, notifications.user_id, channel
FROM notification_deliveries
JOIN notifications ON notifications.id = notification_deliveries.notification_id
WHERE notification_deliveries.status = 'delivered'
  AND channel IN ('email', 'sms', 'push')
  AND NOT EXISTS (
      SELECT
      FROM user_contacts
      WHERE user_contacts.user_id = notifications.user_id
        AND user_contacts.channel = notification_deliveries.channel
        AND verified_at IS NOT NULL
  );
