"""Multi-receptive-field feature interaction: MobileMamba."""
