"""A part of the matrix, for the clients that are installed; `make clients` plays the whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.vendors import FACES

from .checks import Cell, absence, check
from .house import House, matrix_house
from .rows import ROWS, client_class

PART = ("plain", "streamed", "tools", "refused", "cancelled")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One daemon for all cells."""
    with matrix_house() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_client_is_told_by_every_vendor_what_its_own_would_tell(name: str, house: House) -> None:
    try:
        client = client_class(name)(house.url)
    except ImportError as error:
        pytest.skip(f"{name} is not installed, which `make clients` does: {error}")
    try:
        for dialect in FACES:
            for capability in PART:
                if absence(client, dialect, capability) is None:
                    check(Cell(client, dialect, house.vendors), capability)
    finally:
        client.close()
