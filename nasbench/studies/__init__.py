"""Studies of a device: guidelines checked, figures ranked against latency, efficiency, growth with the resolution."""
