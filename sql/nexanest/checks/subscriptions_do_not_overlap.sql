-- A subscription begins when the one before it has ended.
SELECT earlier.organization_id, earlier.id, later.id AS overlaps
FROM subscriptions AS earlier
JOIN subscriptions AS later
    ON later.organization_id = earlier.organization_id
    AND later.id <> earlier.id
    AND later.started_at >= earlier.started_at
WHERE later.started_at < COALESCE(earlier.cancelled_at, 'infinity');
