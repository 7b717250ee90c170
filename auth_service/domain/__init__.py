"""The rules: synchronous, without I/O and without a clock; each is a function of a state and a moment."""
