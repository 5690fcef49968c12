"""Predictions registered before a run, and what became of them."""
