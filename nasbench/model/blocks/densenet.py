"""Dense blocks and transitions: DenseNet."""
