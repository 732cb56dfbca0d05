"""Writes two caches with pickled arrays into a folder. Run by tests/numpy.rs."""

import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
embeddings = np.eye(3, 4, dtype=np.float32) * 20.0
columns = {
    "paths": np.array(["/b.jpg", "/a.jpg", "/b.jpg"], dtype=object),
    "bbox": np.array([[1, 2, 31, 62], [3, 4, 53, 24], [5, 6, 7, 9]], dtype=np.float32),
    "det_score": np.array([0.9, 0.8, 0.7]),
    "blur": np.array([10.0, 20.0, 30.0]),
}

rows = np.empty(3, dtype=object)
rows[:] = list(embeddings)
meta = {"src_root": "/photos", "path_aliases": {"/a.jpg": ["/z.jpg"]}}
np.savez(folder / "columns.npz", embeddings=rows, meta=np.array(meta, dtype=object), **columns)

faces = [
    {"embedding": embeddings[i], **{name.rstrip("s") if name == "paths" else name: column[i]
                                    for name, column in columns.items()}}
    for i in range(3)
]
records = np.empty(3, dtype=object)
records[:] = faces
np.savez(folder / "records.npz", faces=records, noface=np.array(["/c.jpg"]))
