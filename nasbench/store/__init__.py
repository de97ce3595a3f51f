"""A run on the disk: the log that a crash cannot hurt, and the parquet files that everybody reads."""
