"""Django's backend for PostgreSQL, which copes with a database that is away, silent or full."""
