-- Edition: community
-- Compresses the chunks of the bars that are older than seven days.
-- show_chunks() gives the chunks themselves, so their age is chosen by its argument.
SELECT compress_chunk(chunk, if_not_compressed => TRUE)
FROM show_chunks('market_data.ohlcv', older_than => INTERVAL '7 days') AS chunk;
