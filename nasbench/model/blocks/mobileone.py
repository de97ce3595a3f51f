"""Over-parameterized blocks that become one convolution: MobileOne."""
