"""Connections to RabbitMQ on which every wait has a limit."""
