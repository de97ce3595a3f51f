"""How a built network is executed: the contract and one file a runtime."""
