"""One module a job type: a function from a file to pages. No database, no Redis, no asyncio."""
