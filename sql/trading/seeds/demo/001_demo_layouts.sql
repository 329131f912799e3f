INSERT INTO user_settings (user_id, key, value)
VALUES
    ('11111111-1111-4111-8111-111111111111', 'layout.presentation', '{"font_scale": 1.4, "panels": ["chart", "positions"]}'),
    ('22222222-2222-4222-8222-222222222222', 'layout.presentation', '{"font_scale": 1.4, "panels": ["chart"]}')
ON CONFLICT (user_id, key) DO NOTHING;
