"""The Moore's law of language models: how fast parameters, tokens and compute grow with the date of publication."""
