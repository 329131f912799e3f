INSERT INTO metric_definitions (name, title, description, unit, aggregation)
VALUES
    ('active_users', 'Active users', 'Users with at least one session on the day', 'count', 'last'),
    ('page_views', 'Page views', 'Pages that were opened', 'count', 'sum'),
    ('trades', 'Trades', 'Orders that were filled', 'count', 'sum'),
    ('assets', 'Assets', 'Value of all portfolios at the close, in US dollars', 'currency', 'last')
ON CONFLICT (name) DO UPDATE
SET title = EXCLUDED.title, description = EXCLUDED.description, unit = EXCLUDED.unit, aggregation = EXCLUDED.aggregation
WHERE (metric_definitions.title, metric_definitions.description, metric_definitions.unit, metric_definitions.aggregation)
    IS DISTINCT FROM (EXCLUDED.title, EXCLUDED.description, EXCLUDED.unit, EXCLUDED.aggregation);

INSERT INTO report_definitions (id, owner_user_id, name, description, report_type, schedule)
VALUES
    ('4e000000-0000-4000-8000-000000000001', NULL, 'Portfolio performance', 'Gain and return of each portfolio', 'performance', '0 6 * * 1'),
    ('4e000000-0000-4000-8000-000000000002', NULL, 'Asset allocation', 'Shares of the asset classes against the rules', 'allocation', '0 6 1 * *'),
    ('4e000000-0000-4000-8000-000000000003', NULL, 'Use of the product', 'Users, sessions and trades', 'usage', '0 5 * * *')
ON CONFLICT (owner_user_id, name) DO UPDATE
SET description = EXCLUDED.description, report_type = EXCLUDED.report_type
WHERE (report_definitions.description, report_definitions.report_type) IS DISTINCT FROM (EXCLUDED.description, EXCLUDED.report_type);
