"""The worker: one task, trained in a process of its own."""
