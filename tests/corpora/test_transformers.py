"""kvplan against what transformers really builds and caches, row by row."""

import pytest
import score_corpora as corpora

KNOWN = corpora.exceptions()


@pytest.mark.parametrize("corpus", corpora.TRANSFORMERS)
def test_every_figure_is_equal_or_its_difference_is_explained(corpus):
    """Parameters to the unit and cache sizes to the byte, for every row that has no written reason to differ."""
    misses = corpora.score_corpus(corpus).misses
    unexplained = {model: why for model, why in misses.items() if f"{corpus}:{model}" not in KNOWN}
    assert unexplained == {}


@pytest.mark.parametrize("corpus", corpora.TRANSFORMERS)
def test_no_exception_outlives_its_reason(corpus):
    """A row that is listed as different really differs: the list can only shrink unnoticed, never grow."""
    misses = corpora.score_corpus(corpus).misses
    stale = [name for name in KNOWN if name.startswith(f"{corpus}:") and name.removeprefix(f"{corpus}:") not in misses]
    assert stale == []


def test_the_published_models_have_no_exception():
    """The corpus of published models agrees in every figure."""
    assert [name for name in KNOWN if name.startswith("measured:")] == []
