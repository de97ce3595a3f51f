"""Universal inverted bottlenecks and mobile attention: MobileNetV4."""
