"""The compute worker: runs the computations of its catalogue, each within its limits."""
