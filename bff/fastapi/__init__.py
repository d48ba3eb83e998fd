"""The BFF in a FastAPI application of yours: installation, dependencies, and the client for your upstreams.

Owns: what `import bff` offers to other applications, and how it joins them.
Does not own: the components (`bff.components`), which are the same as under `bff serve`, and the test kit
(`bff.testing`).
"""
