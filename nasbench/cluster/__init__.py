"""Work on other machines, through Ray: how a cluster is reached, and a `Worker` that lives on one of its nodes."""
