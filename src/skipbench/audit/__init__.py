"""A user's policy put through everything that a claim about it needs, in one command."""
