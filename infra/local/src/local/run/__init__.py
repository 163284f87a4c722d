"""`make up`: runs the Procfile's processes, and answers other commands."""
