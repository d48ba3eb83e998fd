"""What the operator commands do: `bff okta`, `bff doctor`, `bff sessions`, `bff keys rewrap`, `bff routes explain`.

Owns Okta's Management API, checks of a deployment, and operator access to the session store. `bff serve` imports
nothing of this package. Does not own arguments, output and exit codes (`bff.cli`).
"""
