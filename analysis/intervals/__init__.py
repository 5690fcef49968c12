"""How sure a fit is: bootstraps, profiles, a posterior, and what share of simulated truths their intervals catch."""
