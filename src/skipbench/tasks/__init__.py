"""Tasks: what is asked and how replies are scored. A task never sees a model."""
