"""Tracking: rows that show the state of a task, in whatever order its events arrive.

A kind of work is declared once (``engine.Tracking``); rules, engine and registry do the rest.
"""
