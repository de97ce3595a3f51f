"""Tables of figures that others measured or trained, as devices and estimators of accuracy."""
