"""The whole service on one machine: Valkey, API and workers, supervised by one parent."""
