"""Large-kernel attention: VAN."""
