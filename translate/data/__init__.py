"""Pictures for training: paired, unpaired, and clean photographs damaged on the fly."""

import os

import cv2

# albumentations, when it is imported, looks for a newer version of itself on the network unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# OpenCV's threads do not survive the fork that starts workers: the first call in a worker would wait for them for ever.
cv2.setNumThreads(1)
