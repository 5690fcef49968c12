"""Ways to extrapolate, scored on languages whose limit is known."""
