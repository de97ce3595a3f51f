"""Multi-order gated aggregation: MogaNet."""
