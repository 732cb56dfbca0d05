"""Prints, as JSON, what numpy sees in a cache. Run by tests/numpy.rs."""

import json
import sys

import numpy as np


def listed(array):
    return [None if isinstance(v, float) and v != v else v for v in array.ravel().tolist()]


with np.load(sys.argv[1], allow_pickle=False) as cache:
    seen = {
        name: {
            "dtype": cache[name].dtype.kind + str(cache[name].dtype.itemsize),
            "shape": list(cache[name].shape),
            "values": listed(cache[name]),
        }
        for name in cache.files
    }
    meta = json.loads(str(cache["meta"]))
    unit = np.linalg.norm(cache["embeddings"], axis=1)
    assert np.allclose(unit, 1.0, atol=1e-5), unit
    assert meta["schema"] == 1, meta
print(json.dumps({"order": list(seen), "arrays": seen, "meta": meta}))
