"""Weakly labelled data: image labels, seeds, data sets, and their checks."""

from ..palette import label_colors
from .caption_entries import CaptionEntry
from .caption_formats import CAPTION_FORMATS, read_captions
from .caption_shards import ShardSample, expand_shards, read_shard
from .caption_transforms import PackCaptionInputs, RandomResizedCrop
from .captions import CaptionDataset
from .check import base_datasets, check_dataset, count_samples
from .check_hook import CheckDatasetHook
from .class_names import VOCABULARIES, NameIndex, read_vocabulary
from .coco import WeakCOCO14Dataset, WeakCOCO14Dataset91
from .coco_encoding import MaskIds, detect_coco_encoding, encoding_label_map
from .data_sampler import Draw, ResumableSampler, draw_randomness
from .dataset_configs import base_configs, use_masks_of, without_mask_check
from .id_lists import read_id_list
from .image_labels import ImageLabels, canonical_image_id
from .label_formats import READERS, detect_format, read_image_labels
from .mask_folders import find_mask_folder, find_missing_masks
from .mask_transforms import LoadSeed, LoadTruthIfPresent
from .open_vocabulary import COCOObjectDataset, VOC20Dataset
from .preprocessor import WeakSegDataPreProcessor
from .problems import Problem, has_errors, summarize
from .superpixel_cache import SuperpixelCache
from .superpixels import FelzenszwalbSuperpixels, felzenszwalb_superpixels
from .toyland import ToylandDataset
from .transforms import LoadColorImage, LoadImageLabels
from .voc import WeakVOC12Dataset
from .weak_seg import WeakSegDataset
from .webdataset_captions import WebDatasetCaptions

__all__ = [
    'CAPTION_FORMATS',
    'READERS',
    'VOCABULARIES',
    'COCOObjectDataset',
    'CaptionDataset',
    'CaptionEntry',
    'CheckDatasetHook',
    'Draw',
    'FelzenszwalbSuperpixels',
    'ImageLabels',
    'LoadColorImage',
    'LoadImageLabels',
    'LoadSeed',
    'LoadTruthIfPresent',
    'MaskIds',
    'NameIndex',
    'PackCaptionInputs',
    'Problem',
    'RandomResizedCrop',
    'ResumableSampler',
    'ShardSample',
    'SuperpixelCache',
    'ToylandDataset',
    'VOC20Dataset',
    'WeakCOCO14Dataset',
    'WeakCOCO14Dataset91',
    'WeakSegDataPreProcessor',
    'WeakSegDataset',
    'WeakVOC12Dataset',
    'WebDatasetCaptions',
    'base_configs',
    'base_datasets',
    'canonical_image_id',
    'check_dataset',
    'count_samples',
    'detect_coco_encoding',
    'detect_format',
    'draw_randomness',
    'encoding_label_map',
    'expand_shards',
    'felzenszwalb_superpixels',
    'find_mask_folder',
    'find_missing_masks',
    'has_errors',
    'label_colors',
    'read_captions',
    'read_id_list',
    'read_image_labels',
    'read_shard',
    'read_vocabulary',
    'summarize',
    'use_masks_of',
    'without_mask_check',
]
