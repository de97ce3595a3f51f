"""ConvNeXt, InceptionNeXt and ConvFirst."""
