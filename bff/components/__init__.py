"""The components of one application, built in groups: stores, providers, flows, the web layer, and their lifetime.

`bff.app` connects the groups. A group is built from the settings and the groups before it; nothing here is global, so
two applications in one process share nothing.
"""
