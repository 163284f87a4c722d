"""How long-running commands live and end."""
