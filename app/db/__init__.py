"""The database: engines, transactions, columns and migrations, on SQLite and PostgreSQL."""
