"""The real data sets as they were when runs were measured on them: fingerprints, splits and pixels.

The digests of pixels hold for the Pillow of ``constraints.txt``; another libjpeg may round otherwise.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pytest

from marsnb.data.ai4mars import AI4Mars, open_ai4mars
from marsnb.data.msl import MSL, open_msl

EVERY = 97  # a prime: the images looked at are of all sols, cameras and classes

MSL_IMAGES = "664f045ac3182a4433f2e0f53c346c86a3267261339bfb931f64b657c877929f"
MSL_PIXELS = "6d73d495fde5a89d32273992e1781cd95a8be9c18181a92f136e964f891ffb10"
MSL_PINNED = {
    "by_frame": (
        "71b754e8f7a97a3cd82cea1966d967848293379a5a25c0f117e4c3e6f29be479",
        "e50f504bb4c236efbcc29954339463ebca5521be4bfbadb670542bc1d4eb6339",
    ),
    "paper": (
        "149d86c6b9978f9b08c67075722b001f99c8703eccf648eb4349c916bd1a260c",
        "080dcd795a91d67e5a7430e86b622389f683386530083e10c56e6a3fdc8aec15",
    ),
    "chronological": (
        "77397b017ff421dae9df92fa3cd6c2be61b9712e35d371a0b3f34e2869f6ae72",
        "04072ce3025de082594385c6a1f18be681d8a1d3c11aff199f06d8e9fbaa3b3d",
    ),
}
POOLS = {  # last sol: images, fingerprint, pixels
    None: (
        2800,
        "97aac19ca9669bb2554dd87ec902d64a7ecad4161976622b03e1e9a7fce4e0bb",
        "8478fd8da4ac664167af675ea09970e15feeefcd0e993d45186b07b572af3ec1",
    ),
    564: (
        1076,
        "a71657230e899d06cf2bb7bce662d4b6999ccacfd7b96affc0fdf34446e1be4c",
        "e5dc176bddc9b4228ed03e40e4c83acaeb986a4bd549ba0178545a3f4d1ad692",
    ),
}
TERRAIN_SOURCE = "25a2505d976125cd5faa3e32dd89adedc2aac026ed9fb01c9ae185871c687447"
TERRAIN_IMAGES = "4e38783fb0a46c0b02299f27c7b8699acd4e282e119f9fe4e9f61c76d1d4cc08"
TERRAIN_MASKS = {
    None: "59a679c9e154ed4b0a32da4f84779ef83473d66799740dfd4fd5f1d7fbe9d3e8",
    64: "737df3e258ed66eccb76a0f2c919c3a2cb17c373dcef0f2e13fae2f34d027496",
}
TERRAIN_PINNED = {
    "sol": ("cbbf4a2f1dcbcd2cd72d9bdc16e9f8c114cf96cb5a1d37bee47f14cd6cec9466", (3614, 0, 2386)),
    "time": ("21c63479b38f8274a7cb483474f1c8e0d22be0059522bef8e8ed70fa95ee09d2", (3601, 0, 2399)),
    "choice": ("e928dbd2536820151caa152a6adb0dfd9eb4fb976b57411b22ca0c7a8592788d", (2712, 902, 2386)),
}


def content(arrays: Iterable[np.ndarray]) -> str:
    """Digest of the bytes of arrays, in order."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


@pytest.mark.real_data
@pytest.mark.parametrize("protocol", MSL.protocols)
def test_msl_is_what_it_was(protocol: str) -> None:
    data = open_msl(protocol)
    splits = content(array for part in (data.train, data.val, data.test) for array in (part.indices, part.labels))
    assert data.source.fingerprint == MSL_IMAGES
    assert (data.fingerprint, splits) == MSL_PINNED[protocol]


@pytest.mark.real_data
def test_msl_decodes_to_what_it_did() -> None:
    source = open_msl(unlabelled=None).source
    assert content(source.decode(i, 64) for i in range(0, len(source.names), EVERY)) == MSL_PIXELS


@pytest.mark.real_data("msl-images", "pds-browse")
@pytest.mark.parametrize("max_sol", POOLS)
def test_unlabelled_images_are_what_they_were(max_sol: int | None) -> None:
    pool = open_msl(max_sol=max_sol).unlabelled
    assert pool is not None
    pixels = content(pool.decode(i, 64) for i in range(0, len(pool.names), EVERY))
    assert (len(pool.names), pool.fingerprint, pixels) == POOLS[max_sol]


@pytest.mark.real_data("ai4mars-dataset-merged-0.1")
@pytest.mark.parametrize("protocol", AI4Mars.protocols)
def test_ai4mars_is_what_it_was(protocol: str) -> None:
    data = open_ai4mars(protocol)
    assert data.source.fingerprint == TERRAIN_SOURCE
    parts = (data.train, data.val, data.test)
    assert (data.fingerprint, tuple(map(len, parts))) == TERRAIN_PINNED[protocol]
    assert np.concatenate(parts).tolist() == list(range(6000))  # in the order of time


@pytest.mark.real_data("ai4mars-dataset-merged-0.1")
def test_ai4mars_decodes_to_what_it_did() -> None:
    source = open_ai4mars().source
    chosen = range(0, len(source.names), EVERY)
    assert content(source.decode(i, 64) for i in chosen) == TERRAIN_IMAGES
    for size, expected in TERRAIN_MASKS.items():
        assert content(source.mask(i, size) for i in chosen) == expected
