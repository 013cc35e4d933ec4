"""From results on disk to tables, figures and a page. Never imports torch, never runs a model."""
