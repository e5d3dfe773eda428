"""CIDEr-D (Vedantam, Zitnick, Parikh: CIDEr, CVPR 2015), as published.

    CIDEr-D(c, S) = 10 / 4 * sum over n = 1..4 of the mean over references s of
                    exp(-(l(c) - l(s))^2 / (2 sigma^2)) * min(g_n(c), g_n(s)) . g_n(s) / (|g_n(c)| |g_n(s)|)

g_n are the tf-idf vectors of n-grams, idf from the references of all pictures, sigma = 6.  Papers print it times 100.
"""

from __future__ import annotations

import math
from collections import Counter

SIGMA, ORDERS = 6.0, 4
Vector = dict[tuple[str, ...], float]


def ngrams(text: str, n: int) -> Counter:
    words = text.split()
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


class CiderD:
    """Scores against one corpus of references, whose pictures decide how telling an n-gram is."""

    def __init__(self, corpus: list[list[str]]) -> None:
        """`corpus`: for each picture its references."""
        self.pictures = len(corpus)
        self.frequency: Counter = Counter()
        for references in corpus:
            self.frequency.update({g for text in references for n in range(1, ORDERS + 1) for g in ngrams(text, n)})

    def vector(self, text: str, n: int) -> Vector:
        log = math.log(self.pictures)
        return {g: tf * (log - math.log(max(1, self.frequency[g]))) for g, tf in ngrams(text, n).items()}

    def score(self, caption: str, references: list[str]) -> float:
        """0 to 10."""
        total = 0.0
        for reference in references:
            gap = len(caption.split()) - len(reference.split())
            penalty = math.exp(-(gap ** 2) / (2 * SIGMA ** 2))
            total += penalty * sum(_clipped(self.vector(caption, n), self.vector(reference, n))
                                   for n in range(1, ORDERS + 1)) / ORDERS
        return 10 * total / len(references)


def _clipped(hypothesis: Vector, reference: Vector) -> float:
    norms = math.sqrt(sum(v * v for v in hypothesis.values())) * math.sqrt(sum(v * v for v in reference.values()))
    if norms == 0:
        return 0.0
    return sum(min(hypothesis.get(g, 0.0), v) * v for g, v in reference.items()) / norms
