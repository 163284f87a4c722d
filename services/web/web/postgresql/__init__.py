"""Django's backend for PostgreSQL, made to bear a database that is away, silent or full."""
