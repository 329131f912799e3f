INSERT INTO news.news_articles (id, title, description, url, source, author, published_at, created_at)
SELECT
    md5('article ' || n)::uuid,
    headline,
    headline || ' (sample text).',
    'https://news.example.com/2026/' || n,
    (ARRAY['Example Wire', 'Sample Times', 'Market Sample'])[1 + n % 3],
    'Sample Author',
    published_at,
    published_at
FROM (VALUES
    (1, 'Chip makers lead a broad advance', TIMESTAMPTZ '2026-08-04 13:00Z'),
    (2, 'Central bank leaves rates where they are', TIMESTAMPTZ '2026-09-16 18:05Z'),
    (3, 'Oil slips as inventories rise', TIMESTAMPTZ '2026-10-07 15:40Z'),
    (4, 'Cloud revenue beats expectations', TIMESTAMPTZ '2026-10-28 20:10Z'),
    (5, 'Jobs report comes in close to forecast', TIMESTAMPTZ '2026-11-06 13:35Z'),
    (6, 'Carmaker recalls a model year', TIMESTAMPTZ '2026-11-12 10:20Z')
) AS written (n, headline, published_at)
ON CONFLICT (id) DO NOTHING;

INSERT INTO derived.news_sentiment (article_id, symbol, score, confidence, model, created_at)
SELECT md5('article ' || n)::uuid, symbol, score, 0.9, 'sample-1', TIMESTAMPTZ '2026-11-13 00:00Z'
FROM (VALUES (1, 'NVDA', 0.8), (3, 'XOM', -0.45), (4, 'MSFT', 0.7), (4, 'AMZN', 0.6), (6, 'TSLA', -0.65)) AS read (n, symbol, score)
ON CONFLICT (article_id, symbol, model) DO NOTHING;

INSERT INTO events.event_data
    (id, event_type, event_datetime, event_name, impact_level, symbol, currency, country, actual, forecast, previous, source)
VALUES
    (md5('event 1')::uuid, 'economic', '2026-09-16 18:00Z', 'FOMC rate decision', 4, NULL, 'USD', 'US', 3.50, 3.50, 3.75, 'seed'),
    (md5('event 2')::uuid, 'economic', '2026-11-06 13:30Z', 'Nonfarm payrolls', 4, NULL, 'USD', 'US', 71, 68, 74, 'seed'),
    (md5('event 3')::uuid, 'economic', '2026-11-12 13:30Z', 'CPI month over month', 3, NULL, 'USD', 'US', 0.2, 0.2, 0.3, 'seed'),
    (md5('event 4')::uuid, 'earnings', '2026-10-28 20:05Z', 'MSFT quarterly earnings', 3, 'MSFT', 'USD', 'US', 3.72, 3.60, 3.41, 'seed'),
    (md5('event 5')::uuid, 'earnings', '2026-10-29 20:30Z', 'AAPL quarterly earnings', 3, 'AAPL', 'USD', 'US', 1.71, 1.68, 1.57, 'seed'),
    (md5('event 6')::uuid, 'dividend', '2026-11-09 00:00Z', 'AAPL ex-dividend date', 1, 'AAPL', 'USD', 'US', 0.26, NULL, 0.26, 'seed'),
    (md5('event 7')::uuid, 'economic', '2026-12-09 19:00Z', 'FOMC rate decision', 4, NULL, 'USD', 'US', NULL, 3.25, 3.50, 'seed')
ON CONFLICT (id) DO NOTHING;
