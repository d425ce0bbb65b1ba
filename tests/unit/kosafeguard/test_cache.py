"""What is kept of what was read, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from guardrail.classifiers.kosafeguard.cache import Cache

HEAD, OTHER = (1, 2), (3,)


def values(ids: Sequence[int]) -> Tensor:
    """Return keys and values that tell which token they belong to."""
    return torch.tensor(ids, dtype=torch.float)[None, None, :, None, None].expand(2, 2, -1, 1, 3)


def held(cache: Cache, head: tuple[int, ...], ids: Sequence[int]) -> list[int]:
    """Return which tokens of `ids` the cache gives keys for."""
    found = cache.longest(head, ids)
    return [] if found is None else [int(each) for each in found[0, 0, :, 0, 0]]


def test_the_longest_common_prefix_is_found() -> None:
    """Of several entries the one that shares most is used, as far as it is shared."""
    cache = Cache(100)
    cache.put(HEAD, [5, 6, 9], values([5, 6, 9]))
    cache.put(HEAD, [5, 6, 7, 8], values([5, 6, 7, 8]))

    assert held(cache, HEAD, [5, 6, 7, 1, 1]) == [5, 6, 7]


def test_the_last_token_is_always_read() -> None:
    """A prompt that is held entirely still has one token to read, for its logits."""
    cache = Cache(100)
    cache.put(HEAD, [5, 6], values([5, 6]))

    assert held(cache, HEAD, [5, 6]) == [5]


def test_heads_keep_apart() -> None:
    """The same tokens after another head are other keys."""
    cache = Cache(100)
    cache.put(HEAD, [5, 6], values([5, 6]))

    assert held(cache, OTHER, [5, 6, 7]) == []


def test_a_grown_reply_replaces_what_it_grew_from() -> None:
    """A stream takes about its own length once, however often it was checked."""
    cache = Cache(100)
    for size in range(1, 20):
        cache.put(HEAD, range(size), values(range(size)))

    assert cache.tokens == 19


def test_the_beginning_of_what_is_held_adds_nothing() -> None:
    """Reading a shorter text again takes no room."""
    cache = Cache(100)
    cache.put(HEAD, range(9), values(range(9)))
    cache.put(HEAD, range(4), values(range(4)))

    assert cache.tokens == 9


def test_the_least_recently_used_goes() -> None:
    """When there is no room, the entry goes that was used longest ago."""
    cache = Cache(6)
    cache.put(HEAD, [1, 1, 1], values([1, 1, 1]))
    cache.put(HEAD, [2, 2, 2], values([2, 2, 2]))
    cache.longest(HEAD, [1, 1, 1, 1])
    cache.put(HEAD, [3, 3, 3], values([3, 3, 3]))

    assert [held(cache, HEAD, [n] * 4) for n in (1, 2, 3)] == [[1, 1, 1], [], [3, 3, 3]]


def test_heads_stay() -> None:
    """No entry pushes a head out; with room for heads alone, heads alone are kept."""
    cache = Cache(2)
    cache.put_head(HEAD, values(HEAD))
    cache.put(HEAD, [5], values([5]))

    assert cache.head(HEAD) is not None
    assert held(cache, HEAD, [5, 6]) == []


def test_what_is_too_long_to_keep_pushes_nothing_out() -> None:
    """A text longer than all the room is not kept, and costs no other its place."""
    cache = Cache(6)
    cache.put(HEAD, [1, 2], values([1, 2]))
    cache.put(HEAD, [3] * 7, values([3] * 7))

    assert held(cache, HEAD, [1, 2, 9]) == [1, 2]


def test_entries_own_their_memory() -> None:
    """What the caller does to a tensor after putting it does not reach the cache."""
    cache = Cache(100)
    mine = values([5, 6]).clone()
    cache.put(HEAD, [5, 6], mine)
    mine.zero_()

    assert held(cache, HEAD, [5, 6, 7]) == [5, 6]


@given(
    st.integers(0, 30),
    st.lists(st.tuples(st.sampled_from([HEAD, OTHER]), st.lists(st.integers(0, 2), max_size=12))),
)
def test_never_more_than_its_limit_and_never_wrong(
    limit: int, puts: list[tuple[tuple[int, ...], list[int]]]
) -> None:
    """Whatever is put, the limit holds, and what is found is a prefix of what was asked for."""
    cache = Cache(limit)
    for head, ids in puts:
        cache.put(head, ids, values(ids))
        found = held(cache, head, [*ids, 9])

        assert cache.tokens <= limit
        assert found == ids[: len(found)]
