"""Runs Warren on one machine without containers, with a private broker and database."""
