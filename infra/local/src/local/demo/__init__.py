"""`make demo`: Warren's main job, shown and timed."""
