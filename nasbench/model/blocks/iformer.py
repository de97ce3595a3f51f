"""Single-head modulation attention: iFormer."""
