"""How good a network is: by training it, or by asking a function of the user's own."""
