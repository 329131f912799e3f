-- A portfolio has the same user in its snapshots and its events.
SELECT portfolio_id, array_agg(DISTINCT user_id) AS users
FROM (
    SELECT portfolio_id, user_id FROM analytics_ts.portfolio_snapshots
    UNION
    SELECT portfolio_id, user_id FROM events.trading_events
) AS owned
GROUP BY portfolio_id
HAVING count(DISTINCT user_id) > 1;
