"""The core journeys against OpenID providers that others wrote: `make test-providers`."""
