"""The demo environment: a simulated Okta, a sample API, a single-page app, and a client with copied cookies.

Only `demo/__main__.py` imports the BFF; the simulator and the sample API share no code with it.
"""
