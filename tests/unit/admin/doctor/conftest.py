"""The simulated org and its operator are those of tests/unit/admin/okta."""

from tests.unit.admin.okta.conftest import key_file, key_files, operator, other_key_file

__all__ = ["key_file", "key_files", "operator", "other_key_file"]
