"""The simulated Okta and the sample API."""
