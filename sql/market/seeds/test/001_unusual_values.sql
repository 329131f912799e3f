-- The edges of the checks: equal prices, no volume, the smallest and the largest price that fit, and no text where none is needed.
INSERT INTO market_data.ohlcv (id, symbol, "timestamp", open, high, low, close, volume, timeframe, source)
VALUES
    (md5('test flat')::uuid, 'TEST.FLAT', '2026-11-20 14:00Z', 10, 10, 10, 10, 0, '1d', 'seed'),
    (md5('test small')::uuid, 'TEST.SMALL', '2026-11-20 14:00Z', 0.00000001, 0.00000001, 0.00000001, 0.00000001, 1, '1d', 'seed'),
    (md5('test large')::uuid, 'TEST.LARGE', '2026-11-20 14:00Z', 999999999999.99999999, 999999999999.99999999, 1, 1, 9223372036854775807, '1d', 'seed')
ON CONFLICT (symbol, "timestamp") DO NOTHING;

INSERT INTO news.news_articles (id, title, url, published_at)
VALUES (md5('test article')::uuid, '中央銀行「据え置き」— d''accord?', 'https://news.example.com/test?q=%27&x=1#ü', '2026-11-20 00:00Z')
ON CONFLICT (id) DO NOTHING;
