"""Figures for papers, drawn from parquet alone: what is seen is what was stored."""
