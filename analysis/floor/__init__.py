"""Whether the runs identify the floor, by one law and by all admissible ones, and what they confound."""
