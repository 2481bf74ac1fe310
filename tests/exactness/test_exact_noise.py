"""Noise is Philox's words, or twisters', made standard normal; no two draws are related."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from tigon.random.philox import philox
from tigon.random.streams import RowRng, normal, rows, seed_of, twisters, uniform

pytestmark = pytest.mark.exactness

KNOWN = [  # of Random123's kat_vectors: counter, key, words
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip
SHAPES = [(100_000, 4), (4000, 100), (400, 1000)]  # the last is drawn by twisters
RELATED = {  # streams that differ in one part of what noise is a function of
    "seed": lambda rows: RowRng(1, 5, range(rows)),
    "iteration": lambda rows: RowRng(0, 6, range(rows)),
    "example": lambda rows: RowRng(0, 5, range(1, rows + 1)),
    "example's high word": lambda rows: RowRng(0, 5, range(2**32, 2**32 + rows)),
    "purpose": lambda rows: RowRng(0, 5, range(rows), "sample"),
}


def hexadecimal(text):
    return tuple(int(word, 16) for word in text.split())


def assert_independent(one, other):
    """Check correlations of numbers, of squares and of both: standard errors are 1 / sqrt(N)."""
    one, other = one.double().flatten(), other.double().flatten()
    for f in (lambda x: x, lambda x: (x**2 - 1) / math.sqrt(2)):
        for g in (lambda x: x, lambda x: (x**2 - 1) / math.sqrt(2)):
            assert abs((f(one) * g(other)).mean()) < 5 / len(one) ** 0.5


@pytest.mark.parametrize("of", [int, torch.tensor, lambda word: np.array([word])])
@pytest.mark.parametrize("counter, key, known", KNOWN)
def test_philox_gives_the_words_that_its_authors_publish(of, counter, key, known):
    low, high = hexadecimal(key)
    words = philox(tuple(of(word) for word in hexadecimal(counter)), high << 32 | low)
    assert tuple(torch.as_tensor(word).item() for word in words) == hexadecimal(known)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_noise_has_the_moments_tails_and_distribution_of_the_normal(shape, dtype):
    noise = normal(RowRng(0, 3, range(shape[0])), torch.zeros(shape, dtype=dtype)).double()
    noise = noise.flatten()
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = (variance / len(noise)) ** 0.5
        assert abs((noise**power).mean() - mean) < 4 * error, power
    for beyond in (3, 4):
        expected = len(noise) * math.erfc(beyond / 2**0.5)
        assert abs((noise.abs() > beyond).sum() - expected) < 4 * expected**0.5, beyond
    assert kstest(noise.numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("part", RELATED)
def test_streams_that_differ_in_one_part_are_independent(part, shape):
    like = torch.zeros(shape)
    one = normal(RowRng(0, 5, range(shape[0])), like)
    assert_independent(one, normal(RELATED[part](shape[0]), like))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rows_draws_and_numbers_are_independent(shape):
    streams, like = RowRng(0, 5, range(shape[0])), torch.zeros(shape)
    one, other = normal(streams, like), normal(streams, like)
    assert_independent(one, other)
    assert_independent(one[:, :-1], one[:, 1:])
    quarter = shape[1] // 4  # so far apart are the two that Box and Muller make of two words
    assert_independent(one[:, :quarter], one[:, quarter : 2 * quarter])
    assert_independent(one[:, :quarter], one[:, 2 * quarter : 3 * quarter])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_numbers_are_uniform_and_independent_of_all_other_draws(dtype):
    streams, like = RowRng(0, 3, range(200_000)), torch.zeros(200_000, 1, dtype=dtype)
    before, numbers, after = (draw(streams, like) for draw in (normal, uniform, normal))
    assert numbers.dtype == dtype and numbers.min() >= 0 and numbers.max() < 1
    assert kstest(numbers.numpy(), "uniform").pvalue > 1e-3
    scaled = (numbers - 0.5) * 12**0.5
    for other in (before, after, uniform(streams, like)[:, None] * 12**0.5 - 3**0.5):
        assert abs((scaled * other[:, 0]).mean()) < 5 / 200_000**0.5
    assert abs((scaled[1:] * scaled[:-1]).mean()) < 5 / 200_000**0.5


@pytest.mark.parametrize("numbers", [2, 300])
def test_rows_whose_seeds_share_32_bits_share_no_noise(numbers):
    """As one `torch.Generator` a row did: among 200000 rows there are about five such pairs."""
    found, pairs = {}, []
    for index in range(200_000):
        seed = seed_of("chains", 0, 0, index) % 2**32
        if seed in found:
            pairs.append((found[seed], index))
        found[seed] = index
    assert pairs
    for pair in pairs:
        one, other = normal(RowRng(0, 0, pair), torch.zeros(2, numbers))
        assert not (one == other).any()


def test_a_million_rows_have_different_words():
    numbers = uniform(RowRng(0, 0, range(10**6)), torch.zeros(10**6, 1, dtype=torch.float64))
    assert len(numbers.unique()) == 10**6  # of 53 bits, two are the same once in 18000 times


def test_a_twisters_state_is_where_pytorch_has_it(monkeypatch):
    """A state of words that `manual_seed` would make gives what `manual_seed` does."""
    word = 1234
    words = [word]
    for i in range(1, 624):
        word = (1812433253 * (word ^ word >> 30) + i) % 2**32
        words.append(word)
    digest = b"".join(word.to_bytes(4, "little") for word in words)
    monkeypatch.setattr("tigon.random.streams.whole", lambda name: digest)
    (rng,) = twisters([b"any"])
    theirs = torch.Generator().manual_seed(1234)
    assert torch.equal(torch.randn(2000, generator=rng), torch.randn(2000, generator=theirs))


@pytest.mark.parametrize("numbers", [2, 300])
def test_what_parts_draw_counts_for_the_whole(numbers):
    like = torch.zeros(4, numbers)
    one, other = RowRng(0, 0, range(4)), RowRng(0, 0, range(4))
    first, second = normal(one, like), normal(one, like)
    part = normal(rows(other, slice(1, 3)), like[1:3])
    whole = normal(other, like)
    assert torch.equal(part, first[1:3])
    assert torch.equal(whole[1:3], second[1:3]) and torch.equal(whole[::3], first[::3])
