"""Makes crates/faceset-cluster/tests/fixtures: scikit-learn's groups of
made-up faces, which the tests make again from the same seed.

usage: golden.py FIXTURE_DIR        (needs numpy and scikit-learn)

One file a run, `sklearn-N-seedS-tTTT.u16`: a little-endian u16 label a row,
groups numbered by size descending, then by smallest row.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.cluster import AgglomerativeClustering

from synthetic import embeddings

RUNS = [(5000, 1, 0.35), (5000, 1, 0.40), (5000, 1, 0.45), (5000, 1, 0.55), (20000, 1, 0.55)]


def numbered(labels):
    first, size = {}, {}
    for row, label in enumerate(labels.tolist()):
        first.setdefault(label, row)
        size[label] = size.get(label, 0) + 1
    order = sorted(first, key=lambda label: (-size[label], first[label]))
    number = {label: at for at, label in enumerate(order)}
    return np.array([number[label] for label in labels.tolist()], "<u2")


def main():
    out = Path(sys.argv[1])
    for n, seed, threshold in RUNS:
        path = out / f"sklearn-{n}-seed{seed}-t{round(threshold * 100):03}.u16"
        model = AgglomerativeClustering(
            n_clusters=None, metric="cosine", linkage="average", distance_threshold=threshold
        )
        labels = model.fit(embeddings(n, seed)).labels_
        numbered(labels).tofile(path)
        print(path, labels.max() + 1, "groups")


main()
