"""Atrous selective scan: EfficientVMamba."""
