"""Where latency is measured: the contract, the timing loop, and one file a backend."""
