"""Tasks without a table of their own: one row each, for any task of the contracts."""
