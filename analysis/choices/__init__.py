"""The analyst's choices: every defensible specification, how far they move the answer, and averages over them."""
