"""Finished cells in the formats of other tools. Reads files; needs no model and no torch."""
