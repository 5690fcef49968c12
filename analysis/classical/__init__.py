"""The three classical approaches to the best split of compute, side by side."""
