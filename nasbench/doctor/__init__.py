"""Is this machine fit to measure on? Everything is read, nothing is changed."""
