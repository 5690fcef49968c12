"""The fitter: a law, rows and an objective in, parameters and a status out; one fit or thousands at once."""
