"""Messages stored with the data they belong to, and the relay that publishes them."""
