"""Large kernels with dilated branches: UniRepLKNet."""
