"""Reading runs: fit scaling laws to any table with N, D and L, and say how sure the fit is."""
