"""The first bad one of a row of releases, found by halving, also where some cannot be tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.verdict.search import Outcome, first_bad


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[str], int, set[int]]:
    """Releases, the number of the first bad one, and those between the ends that cannot be tried."""
    length = draw(st.integers(2, 40))
    between = st.integers(1, length - 2) if length > 2 else st.nothing()
    return [str(number) for number in range(length)], draw(st.integers(1, length - 1)), draw(st.sets(between))


@given(rows())
def test_the_first_bad_one_is_always_among_the_candidates_and_alone_where_its_neighbours_could_be_tried(
    row: tuple[list[str], int, set[int]],
) -> None:
    releases, first, untestable = row
    tried: list[str] = []

    def attempt(release: str) -> Outcome:
        tried.append(release)
        number = int(release)
        return "skipped" if number in untestable else "bad" if number >= first else "good"

    found = first_bad(releases, attempt)
    assert releases[first] in found
    assert all(int(release) in untestable for release in found[:-1]) and int(found[-1]) >= first
    before = first - 1
    while before in untestable:
        before -= 1
    after = first
    while after in untestable:
        after += 1
    assert found == tuple(releases[before + 1 : after + 1])
    assert len(set(tried)) == len(tried) and not {releases[0], releases[-1]} & set(tried)


def test_a_hundred_releases_take_seven_trials() -> None:
    for first in range(1, 100):
        tried: list[str] = []

        def attempt(release: str, first: int = first, tried: list[str] = tried) -> Outcome:
            tried.append(release)
            return "bad" if int(release) >= first else "good"

        assert first_bad([str(number) for number in range(100)], attempt) == (str(first),)
        assert len(tried) <= 7


def test_two_neighbours_take_no_trial_at_all() -> None:
    assert first_bad(["1.28.1", "1.30.2"], lambda _: "good") == ("1.30.2",)
