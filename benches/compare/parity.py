#!/usr/bin/env python3
"""Compare `sort-faces embed` with PyPI insightface on the same model files.

  parity.py --sort-faces BIN --scrfd scrfd.onnx --recognizer fr_feature.onnx PHOTOS [--json OUT]

Both sides get the same SCRFD detector at 640 with threshold 0.5 and the same
recogniser. insightface runs its own SCRFD and ArcFaceONNX classes with its own
alignment; the recogniser's colour order and normalisation are set to what our
pack file says, since insightface guesses them from the graph.

Prints, for faces matched by the best IoU of at least 0.5: faces on either side
only, box IoU, landmark distance in pixels and embedding cosine, each with
median and worst. With --same-pixels the pictures are first written as PNG by
OpenCV, so that both sides decode the same pixels: what is left is not the
decoder's.

Needs (install into a virtual environment of its own):
  pip install insightface==2.1 onnxruntime==1.31.1 opencv-python-headless==4.11.0.86
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np
import onnxruntime
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils import face_align

import packs


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def reference(paths, scrfd, recognizer):
    """Faces of each photo by insightface: boxes, points, scores, embeddings."""
    detector = SCRFD(model_file=scrfd, session=session(scrfd))
    detector.prepare(-1, input_size=(640, 640), det_thresh=0.5, nms_thresh=0.4)
    net = session(recognizer)
    name = net.get_inputs()[0].name
    found = {}
    for path in paths:
        picture = cv2.imread(path)
        if picture is None:
            continue
        boxes, points = detector.detect(picture, input_size=(640, 640))
        faces = []
        for box, kps in zip(boxes, points):
            crop = face_align.norm_crop(picture, landmark=kps, image_size=112)
            blob = (crop.astype(np.float32) - 127.0) / 128.0
            raw = net.run(None, {name: blob.transpose(2, 0, 1)[None]})[0][0]
            faces.append((box[:4], box[4], kps, raw / np.linalg.norm(raw)))
        found[path] = faces
    return found


def ours(binary, folder, scrfd, recognizer):
    """Faces of each photo by sort-faces, through its cache."""
    with tempfile.TemporaryDirectory() as temp:
        models = os.path.join(temp, "models")
        os.mkdir(models)
        for model in (scrfd, recognizer):
            os.symlink(os.path.abspath(model), os.path.join(models, os.path.basename(model)))
        pack = os.path.join(temp, "parity.toml")
        packs.write(pack, "parity", scrfd, recognizer, ["zero-tiny-weights"])
        cache = os.path.join(temp, "cache.npz")
        subprocess.run(
            [binary, "embed", folder, cache, "--pack", pack, "--model-root", models, "--no-log", "-q"],
            check=True, stdout=subprocess.DEVNULL)
        data = np.load(cache, allow_pickle=False)
        found = {str(p): [] for p in data["noface_paths"]}
        for i, path in enumerate(data["paths"]):
            found.setdefault(str(path), []).append(
                (data["bbox"][i], data["det_score"][i], data["kps"][i], data["embeddings"][i]))
        # A copy has the faces of the photo whose bytes it shares.
        for canonical, aliases in json.loads(str(data["meta"])).get("aliases", {}).items():
            for alias in aliases:
                found[alias] = found.get(canonical, [])
        return found


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    area = lambda c: (c[2] - c[0]) * (c[3] - c[1])
    return float(shared / (area(a) + area(b) - shared))


def compare(theirs, mine):
    rows, only_theirs, only_ours, n = [], 0, 0, 0
    for path, reference_faces in theirs.items():
        left = list(mine.get(path, []))
        n += len(reference_faces)
        for box, score, kps, embedding in reference_faces:
            best = max(left, key=lambda f: iou(box, f[0]), default=None)
            if best is None or iou(box, best[0]) < 0.5:
                only_theirs += 1
                continue
            left = [f for f in left if f is not best]
            rows.append((iou(box, best[0]), float(np.median(np.linalg.norm(kps - best[2], axis=1))),
                         float(embedding @ best[3]), abs(float(score - best[1]))))
        only_ours += len(left)
    return np.array(rows), n, only_theirs, only_ours


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--sort-faces", required=True)
    parser.add_argument("--scrfd", required=True)
    parser.add_argument("--recognizer", required=True)
    parser.add_argument("--same-pixels", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = os.path.abspath(args.photos)
        paths = sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files)
        if args.same_pixels:
            converted = []
            for path in paths:
                picture = cv2.imread(path)
                if picture is not None:
                    name = hashlib.sha256(path.encode()).hexdigest() + ".png"
                    converted.append(os.path.join(temp, name))
                    cv2.imwrite(converted[-1], picture)
            folder, paths = temp, sorted(converted)
        mine = ours(args.sort_faces, folder, args.scrfd, args.recognizer)
        theirs = reference(paths, args.scrfd, args.recognizer)
    rows, n, only_theirs, only_ours = compare(theirs, mine)
    result = {
        "photos": len(theirs), "faces": n, "matched": len(rows),
        "only_insightface": only_theirs, "only_ours": only_ours,
        "iou_median": float(np.median(rows[:, 0])), "iou_worst": float(rows[:, 0].min()),
        "points_px_median": float(np.median(rows[:, 1])), "points_px_worst": float(rows[:, 1].max()),
        "cosine_median": float(np.median(rows[:, 2])), "cosine_worst": float(rows[:, 2].min()),
        "cosine_below_0.999": int((rows[:, 2] < 0.999).sum()),
        "score_worst": float(rows[:, 3].max()),
        "opencv": cv2.__version__, "onnxruntime": onnxruntime.__version__,
    }
    for key, value in result.items():
        print(f"{key:20} {value if not isinstance(value, float) else round(value, 6)}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
