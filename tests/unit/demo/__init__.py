"""The sample API, called directly with tokens of the simulated Okta."""
