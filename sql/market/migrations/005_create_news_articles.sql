CREATE TABLE news.news_articles (
    id           UUID DEFAULT gen_random_uuid() PRIMARY KEY,
    title        TEXT NOT NULL,
    description  TEXT,
    content      TEXT,
    url          TEXT UNIQUE NOT NULL,
    source       VARCHAR(100),
    author       VARCHAR(200),
    published_at TIMESTAMPTZ NOT NULL,
    created_at   TIMESTAMPTZ DEFAULT NOW()
);

CREATE INDEX idx_news_published ON news.news_articles (published_at DESC);
CREATE INDEX idx_news_source ON news.news_articles (source);

COMMENT ON TABLE news.news_articles IS 'Articles, once for each address';
