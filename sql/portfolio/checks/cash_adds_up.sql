-- A portfolio's cash is the sum of its transactions, and it was never below zero at the end of a day.
SELECT portfolios.id, 'is not the sum' AS fault, portfolios.cash_balance AS cash, COALESCE(sum(transactions.amount), 0) AS booked
FROM portfolios
LEFT JOIN transactions ON transactions.portfolio_id = portfolios.id
GROUP BY portfolios.id
HAVING portfolios.cash_balance <> COALESCE(sum(transactions.amount), 0)
UNION ALL
SELECT portfolio_id, 'was overdrawn on ' || day, balance, balance
FROM (
    SELECT
        portfolio_id,
        (executed_at AT TIME ZONE 'UTC')::date AS day,
        sum(sum(amount)) OVER (PARTITION BY portfolio_id ORDER BY (executed_at AT TIME ZONE 'UTC')::date) AS balance
    FROM transactions
    GROUP BY portfolio_id, (executed_at AT TIME ZONE 'UTC')::date
) AS daily
WHERE balance < 0;
