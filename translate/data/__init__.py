"""Pictures for training: paired, unpaired, and clean photographs damaged on the fly."""

import cv2

# OpenCV's threads do not survive the fork that starts workers: the first call in a worker would wait for them for ever.
cv2.setNumThreads(1)
