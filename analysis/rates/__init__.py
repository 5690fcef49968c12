"""What a table with several learning rates says of the best one."""
