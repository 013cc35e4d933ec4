"""A closed world: every fact in it is known, so that every answer can be checked.

Nothing here imports torch or the rest of the package. `facts` makes the entities, `questions`,
`stories` and `dialogues` ask about them, `corpus` writes what the shipped model was trained on.
"""
