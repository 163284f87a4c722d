"""The computations: one module each, found by themselves (docs/adding-a-computation.md)."""
