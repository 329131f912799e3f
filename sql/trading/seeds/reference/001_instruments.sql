INSERT INTO instruments (symbol, name, instrument_type, exchange)
VALUES
    ('AAPL', 'Apple Inc.', 'equity', 'XNAS'),
    ('MSFT', 'Microsoft Corporation', 'equity', 'XNAS'),
    ('GOOGL', 'Alphabet Inc. Class A', 'equity', 'XNAS'),
    ('AMZN', 'Amazon.com, Inc.', 'equity', 'XNAS'),
    ('NVDA', 'NVIDIA Corporation', 'equity', 'XNAS'),
    ('META', 'Meta Platforms, Inc. Class A', 'equity', 'XNAS'),
    ('TSLA', 'Tesla, Inc.', 'equity', 'XNAS'),
    ('JPM', 'JPMorgan Chase & Co.', 'equity', 'XNYS'),
    ('JNJ', 'Johnson & Johnson', 'equity', 'XNYS'),
    ('XOM', 'Exxon Mobil Corporation', 'equity', 'XNYS'),
    ('SPY', 'SPDR S&P 500 ETF Trust', 'etf', 'ARCX'),
    ('BND', 'Vanguard Total Bond Market ETF', 'etf', 'XNAS')
ON CONFLICT (symbol) DO UPDATE
SET name = EXCLUDED.name, instrument_type = EXCLUDED.instrument_type, exchange = EXCLUDED.exchange
WHERE (instruments.name, instruments.instrument_type, instruments.exchange)
    IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.instrument_type, EXCLUDED.exchange);
