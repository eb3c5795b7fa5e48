"""Pictures and videos with classes painted over them (tools/demo.py)."""

from .device import use_device
from .inputs import Job, find_inputs, make_folders, plan_jobs
from .run import segment_images, segment_video
from .segmenter import Segmenter
from .trained import load_trained
from .video import Video
from .zero_shot import build_zero_shot

__all__ = [
    'Job',
    'Segmenter',
    'Video',
    'build_zero_shot',
    'find_inputs',
    'load_trained',
    'make_folders',
    'plan_jobs',
    'segment_images',
    'segment_video',
    'use_device',
]
