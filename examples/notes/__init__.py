"""An app of one's own on Warren: notes, whose words a task counts. See docs/make-it-yours.md."""
