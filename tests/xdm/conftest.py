"""What several tests of Adobe's side use."""

from __future__ import annotations

import pytest
from xdm_samples import Files


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)
