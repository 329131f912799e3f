INSERT INTO notification_types (name, description, category, default_channels, can_be_muted)
VALUES
    ('account.new_sign_in', 'A sign-in from a new device', 'security', '{email,in_app}', FALSE),
    ('account.verify_email', 'An address has to be verified', 'account', '{email}', FALSE),
    ('portfolio.order_filled', 'An order was filled', 'portfolio', '{push,in_app}', TRUE),
    ('portfolio.weekly_summary', 'How the portfolios did in the week', 'portfolio', '{email}', TRUE),
    ('market.price_alert', 'A price on a watchlist crossed its limit', 'market', '{push,in_app}', TRUE)
ON CONFLICT (name) DO UPDATE
SET description = EXCLUDED.description, category = EXCLUDED.category,
    default_channels = EXCLUDED.default_channels, can_be_muted = EXCLUDED.can_be_muted
WHERE (notification_types.description, notification_types.category, notification_types.default_channels, notification_types.can_be_muted)
    IS DISTINCT FROM (EXCLUDED.description, EXCLUDED.category, EXCLUDED.default_channels, EXCLUDED.can_be_muted);

INSERT INTO notification_templates (id, type_name, channel, subject, body)
SELECT md5('template ' || type_name || ' ' || channel)::uuid, type_name, channel, subject, body
FROM (VALUES
    ('account.new_sign_in', 'email', 'New sign-in to your account', 'Your account was used from {device} at {time}. Was it not you? Change your password.'),
    ('account.new_sign_in', 'in_app', NULL, 'New sign-in from {device}'),
    ('account.verify_email', 'email', 'Verify your address', 'Open {link} to verify {email}. The link is valid for one day.'),
    ('portfolio.order_filled', 'push', NULL, '{side} {quantity} {symbol} at {price}'),
    ('portfolio.order_filled', 'in_app', NULL, 'Your order to {side} {quantity} {symbol} was filled at {price}'),
    ('portfolio.weekly_summary', 'email', 'Your week: {return}', 'Your portfolios are worth {value}. See {link} for more.'),
    ('market.price_alert', 'push', NULL, '{symbol} is at {price}'),
    ('market.price_alert', 'in_app', NULL, '{symbol} crossed {limit}: it is at {price}')
) AS written (type_name, channel, subject, body)
ON CONFLICT (type_name, channel, locale, version) DO UPDATE
SET subject = EXCLUDED.subject, body = EXCLUDED.body
WHERE (notification_templates.subject, notification_templates.body) IS DISTINCT FROM (EXCLUDED.subject, EXCLUDED.body);
