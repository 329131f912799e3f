CREATE TABLE derived.indicators (
    symbol      VARCHAR(20) NOT NULL,
    indicator   VARCHAR(50) NOT NULL,
    parameters  JSONB NOT NULL DEFAULT '{}',
    "timestamp" TIMESTAMPTZ NOT NULL,
    value       NUMERIC(20, 8) NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (symbol, indicator, parameters, "timestamp"),
    CONSTRAINT chk_indicators_parameters_is_object CHECK (jsonb_typeof(parameters) = 'object')
);

SELECT create_hypertable('derived.indicators', 'timestamp',
    chunk_time_interval => INTERVAL '90 days',
    create_default_indexes => FALSE);

CREATE INDEX idx_indicators_timestamp ON derived.indicators ("timestamp" DESC);

CREATE TABLE derived.news_sentiment (
    article_id UUID NOT NULL REFERENCES news.news_articles (id) ON DELETE CASCADE,
    symbol     VARCHAR(20) NOT NULL,
    score      NUMERIC(5, 4) NOT NULL,
    confidence NUMERIC(5, 4) NOT NULL,
    model      VARCHAR(100) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (article_id, symbol, model),
    CONSTRAINT chk_news_sentiment_score CHECK (score BETWEEN -1 AND 1),
    CONSTRAINT chk_news_sentiment_confidence CHECK (confidence BETWEEN 0 AND 1)
);

CREATE INDEX idx_news_sentiment_symbol ON derived.news_sentiment (symbol, created_at DESC);

COMMENT ON TABLE derived.indicators IS 'Technical indicators, by symbol, name and parameters';
COMMENT ON TABLE derived.news_sentiment IS 'What a model reads out of an article for a symbol, from -1 to 1';
