"""Data: documents, tokenised and packed once into rows, and batches that are functions of (seed, step)."""
