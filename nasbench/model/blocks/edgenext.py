"""Split depthwise transposed attention: EdgeNeXt."""
