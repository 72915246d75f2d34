"""Slow, obvious versions of the losses: one loop per sum of the formula."""

import math

import numpy as np


def cosine(a, b):
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def adaptive_margin(z, v, labels, is_masked):
    total = 0.0
    for n in range(len(z)):
        for i in np.flatnonzero(labels[n]):
            for j in range(len(v)):
                if is_masked and labels[n, j]:
                    continue
                delta = 1 - cosine(v[i], v[j])
                total += max(0.0, delta - cosine(v[i], z[n]) + cosine(v[j], z[n]))
    return total / (labels.sum() * len(v))


def triplets(x, labels, margin, mining):
    share = (labels.astype(int) @ labels.T.astype(int)) > 0
    distance = ((x[:, None] - x[None]) ** 2).sum(-1)
    terms = []
    for a in range(len(x)):
        positives = [p for p in range(len(x)) if p != a and share[a, p]]
        negatives = [n for n in range(len(x)) if not share[a, n]]
        if not positives or not negatives:
            continue
        if mining == "batch_hard":
            hardest = max(distance[a, p] for p in positives)
            terms.append(max(0.0, hardest - min(distance[a, n] for n in negatives) + margin))
            continue
        for p in positives:
            gaps = [distance[a, p] - distance[a, n] for n in negatives]
            beyond = [gap for gap in gaps if gap < 0]
            chosen = gaps if mining == "all" else [max(beyond) if beyond else min(gaps)]
            terms += [max(0.0, gap + margin) for gap in chosen]
    return float(np.mean(terms)) if terms else 0.0


def cosine_softmax(x, proxies, labels, sharpness):
    terms = []
    for n in range(len(x)):
        logits = [sharpness * cosine(x[n], proxy) for proxy in proxies]
        log_sum = math.log(sum(math.exp(logit) for logit in logits))
        classes = np.flatnonzero(labels[n])
        if len(classes):
            terms.append(-sum(logits[c] - log_sum for c in classes) / len(classes))
    return float(np.mean(terms))
