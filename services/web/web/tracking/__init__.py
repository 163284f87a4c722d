"""Tracking: rows that show where a task is, whatever order its events arrive in.

A kind of work is declared once (``engine.Tracking``); rules, engine and registry do the rest.
"""
