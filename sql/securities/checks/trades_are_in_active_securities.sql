-- No trade in a security after it was taken off the list.
SELECT trades.symbol, max(trades.executed_at) AS last_trade
FROM trades
JOIN securities USING (symbol)
WHERE NOT securities.is_active AND trades.executed_at > securities.updated_at
GROUP BY trades.symbol;
