"""How a study stands, from its files alone: in a terminal, on a page, with an early fit."""
