"""The settings: what they are, which values are valid, where they are read from, and how they are reloaded.

Owns: the models, the validators of single values, sources and precedence, `_FILE`, and did-you-mean.
Does not own: what a component does with its settings.
"""
