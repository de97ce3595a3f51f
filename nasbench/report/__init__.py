"""One self-contained HTML page of runs: what was found, what it rests on, and how to do it again."""
