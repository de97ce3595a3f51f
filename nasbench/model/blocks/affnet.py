"""Adaptive frequency filters: AFFNet."""
