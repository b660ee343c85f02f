"""The database: engines, transactions, columns and migrations; the same on SQLite and PostgreSQL."""
