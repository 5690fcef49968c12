"""Walls: what stops the loss from falling first, compute, data or the recipe, and when, in a scenario of the future."""
