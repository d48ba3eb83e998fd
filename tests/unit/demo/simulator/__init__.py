"""The simulated Okta: what journeys and the tests of `bff okta` rely on."""
