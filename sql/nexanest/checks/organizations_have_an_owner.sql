-- Every organization has its owner and a subscription that is not cancelled.
SELECT organizations.id, organizations.slug
FROM organizations
WHERE NOT EXISTS (SELECT FROM organization_members WHERE organization_id = organizations.id AND role = 'owner')
   OR NOT EXISTS (SELECT FROM subscriptions WHERE organization_id = organizations.id AND status <> 'cancelled');
