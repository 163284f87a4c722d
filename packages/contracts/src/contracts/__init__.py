"""The services' agreement: tasks, events, errors, and the exchanges and queues between them."""
