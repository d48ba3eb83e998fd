"""Prepares the documents of this repository for the site generator: `python -m scripts.docs_site DIRECTORY`."""
