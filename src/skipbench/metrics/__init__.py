"""Metrics: pure functions from text and numbers to numbers. No torch, no files."""
