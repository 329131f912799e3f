-- No account has spent more than it had, none has sold more than it held.
SELECT account_id, 'cash' AS what, cash AS amount
FROM account_cash
WHERE cash < 0
UNION ALL
SELECT account_id, symbol, quantity
FROM positions
WHERE quantity < 0;
