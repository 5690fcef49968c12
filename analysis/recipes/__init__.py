"""Two recipes of training compared: what the better one is worth as a multiple of compute."""
