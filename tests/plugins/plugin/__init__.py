"""What every stand-in for a plugin is made of: `server` listens, `wire` has the values, `shapes` what an SDK says of them."""
