"""A convolutional and a token stream with bridges: Mobile-Former."""
