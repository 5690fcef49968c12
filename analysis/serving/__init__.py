"""The model that costs least to train and to serve, against the one that costs least to train."""
