DROP TABLE news.news_articles;
