-- What a portfolio holds of a symbol is what it bought less what it sold.
SELECT portfolio_id, symbol, COALESCE(holdings.quantity, 0) AS held, COALESCE(traded.quantity, 0) AS traded
FROM holdings
FULL JOIN (
    SELECT portfolio_id, symbol, sum(CASE transaction_type WHEN 'buy' THEN quantity ELSE -quantity END) AS quantity
    FROM transactions
    WHERE transaction_type IN ('buy', 'sell')
    GROUP BY portfolio_id, symbol
) AS traded USING (portfolio_id, symbol)
WHERE COALESCE(holdings.quantity, 0) <> COALESCE(traded.quantity, 0);
