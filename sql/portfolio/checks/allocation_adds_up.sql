-- The targets of a portfolio's allocation rules add up to the whole.
SELECT portfolio_id, sum(target_percent) AS total
FROM allocation_rules
GROUP BY portfolio_id
HAVING sum(target_percent) <> 100;
