#!/usr/bin/env python3
"""Turns a face cache with pickled (object) arrays into one without.

    python3 convert_pickled_cache.py OLD.npz NEW.npz

face-sets never unpickles: reading a pickle runs whatever code its author put
into it. This script does, so use it only on caches that you made yourself. It
needs numpy. What it does not understand it leaves out and says so.

The result is a cache of schema 0 (see cache.md).
"""

import json
import sys

import numpy as np

# Names by which caches are known to call the arrays that cache.md requires.
OTHER_NAMES = {
    "embedding": "embeddings",
    "normed_embedding": "embeddings",
    "path": "paths",
    "bboxes": "bbox",
    "det_scores": "det_score",
    "noface": "noface_paths",
}
REQUIRED = ["embeddings", "paths", "bbox", "det_score", "blur"]


def plain(array):
    """The same array without objects, or None where there is no such thing."""
    if array.dtype != object:
        return array
    if array.shape == ():
        return np.array(json.dumps(array.item(), default=to_json))
    items = list(array.ravel())
    if not items:
        return None
    if all(isinstance(item, (str, bytes)) or hasattr(item, "__fspath__") for item in items):
        return np.array([item.decode() if isinstance(item, bytes) else str(item) for item in items])
    try:
        stacked = np.stack([np.asarray(item, dtype=np.float64) for item in items])
    except (TypeError, ValueError):
        return None
    return stacked.astype(np.float32)


def to_json(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value)


def records_to_arrays(records):
    """One array per key of a list of dictionaries, one dictionary per face."""
    return {
        key: np.array([record.get(key) for record in records] + [None], dtype=object)[:-1]
        for key in records[0]
        if all(record.get(key) is not None for record in records)
    }


def is_records(array):
    return (
        array.dtype == object
        and array.ndim == 1
        and array.size > 0
        and all(isinstance(item, dict) for item in array)
    )


def convert(old, new):
    arrays = {}
    with np.load(old, allow_pickle=True) as cache:
        for name in cache.files:
            array = cache[name]
            found = records_to_arrays(list(array)) if is_records(array) else {name: array}
            for key, value in found.items():
                arrays[OTHER_NAMES.get(key, key)] = value
    result = {}
    for name, array in arrays.items():
        converted = plain(array)
        if converted is None:
            print(f"left out: {name}, its objects are no numbers or text", file=sys.stderr)
        else:
            result[name] = np.ascontiguousarray(converted) if converted.ndim else converted
    missing = [name for name in REQUIRED if name not in result]
    if missing:
        sys.exit(f"{old}: no array for {', '.join(missing)}; this is not a face cache")
    np.savez(new, **result)
    print(f"{new}: {len(result['paths'])} faces, arrays {', '.join(sorted(result))}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    convert(sys.argv[1], sys.argv[2])
