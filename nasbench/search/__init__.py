"""The search itself: ask, decode, measure, train, store, tell."""
