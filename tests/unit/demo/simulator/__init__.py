"""The simulated Okta has tests of its own: what it claims about Okta is shown here, so other tests may lean on it."""
