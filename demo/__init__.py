"""The demo environment: a simulated Okta, a sample API and a single-page app.

Only `demo/__main__.py` imports the BFF; the simulator and the sample API share no code with it.
"""
