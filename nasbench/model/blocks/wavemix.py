"""Wavelet mixing: WaveMix."""
