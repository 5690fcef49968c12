"""Plain implementations of public recipes, written for comparison: the same model, batch and optimiser in each."""
