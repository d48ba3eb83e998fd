"""The simulated org and its operator are those of tests/okta."""

from tests.okta.conftest import key_file, operator, other_key_file

__all__ = ["key_file", "operator", "other_key_file"]
