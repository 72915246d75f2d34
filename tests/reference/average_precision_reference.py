"""Average precision as plain loops; imports nothing from the package."""

from itertools import permutations


def average_precision(relevance, at, denominator, n_relevant):
    """AP@R of one ranking, 0 when its denominator is 0."""
    hits, total = 0, 0.0
    for rank, is_relevant in enumerate(relevance[:at], start=1):
        if is_relevant:
            hits += 1
            total += hits / rank
    divisor = {"found": hits, "reachable": min(at, n_relevant), "database": n_relevant}
    return total / divisor[denominator] if divisor[denominator] else 0.0


def orders_of_ties(scores, relevance):
    """Every ranking by score, larger first, over all orders of equal scores."""
    rankings = [[]]
    for score in sorted(set(scores), reverse=True):
        group = [r for s, r in zip(scores, relevance, strict=True) if s == score]
        rankings = [head + list(tail) for head in rankings for tail in permutations(group)]
    return rankings


def tie_interval(scores, relevance, at, denominator):
    """Mean, smallest and largest AP@R over all orders of equal scores."""
    n_relevant = sum(relevance)
    values = [
        average_precision(ranking, at, denominator, n_relevant)
        for ranking in orders_of_ties(scores, relevance)
    ]
    return sum(values) / len(values), min(values), max(values)


def level_sum_scores(lut, rows):
    """Sum of look-up entries, level 0 first, in the dtype of the table."""
    scores = []
    for row in rows:
        total = lut[0][row[0]]
        for level in range(1, len(row)):
            total = total + lut[level][row[level]]
        scores.append(total)
    return scores
