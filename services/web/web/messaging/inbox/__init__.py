"""Arriving results, reports and dead messages, and the collector that stores them."""
