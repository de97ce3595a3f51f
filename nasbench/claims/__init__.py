"""What papers claim of speed, as data, and whether it holds on a device."""
