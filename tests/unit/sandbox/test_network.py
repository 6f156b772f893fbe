"""Addresses: which block a sandbox takes, and who has which address in it."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.home import Home
from sandbox.network import BRIDGED, BridgeNetwork, LoopbackNetwork, NetworkError, pick, tag

networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(int(BRIDGED[0]), int(BRIDGED[-1])),
    st.integers(8, 32),
)


@given(st.lists(networks, max_size=8), st.text())
def test_a_picked_block_is_within_the_range_and_overlaps_nothing_taken(taken: list[IPv4Network], seed: str) -> None:
    for block in pick(BRIDGED, taken, seed):
        assert block.prefixlen == 20
        assert block.subnet_of(BRIDGED)
        assert not any(block.overlaps(other) for other in taken)


def test_all_blocks_are_found_and_each_sandbox_begins_elsewhere() -> None:
    blocks = list(pick(BRIDGED, (), "one"))
    assert len(set(blocks)) == 32
    assert {next(pick(BRIDGED, (), str(seed))) for seed in range(200)} == set(blocks)


def test_nothing_is_picked_when_all_is_taken() -> None:
    assert list(pick(BRIDGED, [IPv4Network("198.0.0.0/8")], "one")) == []


def test_a_tag_is_the_homes_own_and_fits_an_interface_with_a_droplets_number() -> None:
    assert tag(Home(Path("/a"))) != tag(Home(Path("/b")))
    assert len(f"{tag(Home(Path('/a')))}-fff") <= 15


@pytest.fixture
def loopback(tmp_path: Path) -> LoopbackNetwork:
    network = LoopbackNetwork(Home(tmp_path))
    asyncio.run(network.up())
    return network


def test_a_sandbox_keeps_its_block(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    again = LoopbackNetwork(Home(tmp_path))
    asyncio.run(again.up())
    assert again.block == loopback.block


def test_loopback_addresses_leave_those_of_the_machine_alone(loopback: LoopbackNetwork) -> None:
    assert loopback.block.subnet_of(IPv4Network("127.16.0.0/12"))


@given(
    first=st.tuples(st.sampled_from(["droplet", "database"]), st.integers(0, 2031)),
    second=st.tuples(st.sampled_from(["droplet", "database"]), st.integers(0, 2031)),
)
def test_addresses_are_distinct(first: tuple[str, int], second: tuple[str, int]) -> None:
    network = LoopbackNetwork(Home(Path("/never")))
    network._remembered = lambda: IPv4Network("127.16.16.0/20")  # type: ignore[method-assign]
    address = {"droplet": network.droplet_address, "database": network.database_address}
    one, other = (address[kind](index) for kind, index in (first, second))
    assert (one == other) == (first == second)
    assert network.gateway not in {one, other}
    assert IPv4Address(one) in network.block


@pytest.mark.parametrize("index", [-1, 2032, 5000])
def test_an_index_beyond_the_block_is_refused(loopback: LoopbackNetwork, index: int) -> None:
    with pytest.raises(NetworkError, match="none with index"):
        loopback.droplet_address(index)


def test_addresses_are_not_known_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="start the sandbox"):
        BridgeNetwork(Home(tmp_path)).droplet_address(0)
