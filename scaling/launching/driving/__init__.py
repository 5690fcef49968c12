"""The driver: what is trained next, what came of it, and what it cost."""
