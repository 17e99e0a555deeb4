"""Every recorded exchange, dispatched end to end over a real socket, is what its recording holds."""

from __future__ import annotations

import pytest

from tests.corpus import needs_corpus
from tests.corpus.replay import FOLDERS, replay, spoken


@needs_corpus
@pytest.mark.parametrize("name", FOLDERS)
async def test_no_recorded_exchange_is_dispatched_wrong(name: str) -> None:
    result = await replay(name)
    assert result.wrong == []
    assert result.tried.total() == len(spoken(name)) > 0
