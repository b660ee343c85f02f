"""Who calls: applications (the tenants, which own everything) and their API keys."""
