"""The model pack of the scripts here: insightface's SCRFD with the free recogniser."""

import json
import os

PACK = """format = 1
name = "{name}"
title = "{name}"
licence = "as the files"
source = "given by hand"
[detector]
file = "{scrfd}"
kind = "scrfd"
width = 640
height = 640
color = "rgb"
mean = 127.5
std = 128.0
score_threshold = 0.5
nms_threshold = 0.4
[recognizer]
file = "{recognizer}"
size = 112
color = "bgr"
mean = 127.0
std = 128.0
dim = 512
repair = {repair}
[thresholds]
cluster = 0.55
match = 0.45
"""


def write(path, name, scrfd, recognizer, repair):
    """Writes a pack of the files with these names; `repair` lists what is mended in memory."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(PACK.format(name=name, scrfd=os.path.basename(scrfd),
                               recognizer=os.path.basename(recognizer), repair=json.dumps(repair)))
