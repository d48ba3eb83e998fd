"""The small world for trying the BFF: a simulated Okta, a sample API and a single-page app.

Only `demo/__main__.py` may know the BFF; the simulator and the sample API share no code with it.
"""
