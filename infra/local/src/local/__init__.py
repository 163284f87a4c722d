"""Runs Warren on one machine without containers: a private broker and database, `make up`."""
