"""RabbitMQ and PostgreSQL: their programs, and private servers of one checkout."""
