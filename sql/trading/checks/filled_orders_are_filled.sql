-- The fills of an order add up to its quantity when it is filled, and never exceed it.
SELECT orders.id, orders.status, orders.quantity, COALESCE(sum(fills.quantity), 0) AS filled
FROM orders
LEFT JOIN fills ON fills.order_id = orders.id
GROUP BY orders.id
HAVING COALESCE(sum(fills.quantity), 0) > orders.quantity
    OR (orders.status = 'filled') <> (COALESCE(sum(fills.quantity), 0) = orders.quantity)
    OR (orders.status = 'partially_filled' AND COALESCE(sum(fills.quantity), 0) = 0);
