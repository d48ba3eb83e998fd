"""`python -m bff` with the stores' own deadlines out of the way (`tests.harness.patience`), as a process of its own."""

import runpy

import pytest

from tests.harness.patience import be_patient

if __name__ == "__main__":
    be_patient(pytest.MonkeyPatch())
    runpy.run_module("bff", run_name="__main__", alter_sys=True)
