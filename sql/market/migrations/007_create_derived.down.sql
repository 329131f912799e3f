DROP TABLE derived.news_sentiment;
DROP TABLE derived.indicators;
