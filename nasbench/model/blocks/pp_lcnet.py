"""The blocks of PP-LCNet."""
