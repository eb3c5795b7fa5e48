"""Every registered part; importing this module registers them all.

``import mmseg_weakclip`` does it when mmseg's registries are first asked for
a part, so that a command that needs none of them starts at once.
"""

# ruff: noqa: E402, I001  (mmseg may not import before it is prepared)
from ._compat import import_quietly, prepare_mmseg

prepare_mmseg()
import_quietly()

from .datasets.balanced_sampler import RepeatFactorSampler
from .datasets.captions.dataset import CaptionDataset
from .datasets.captions.stream import WebDatasetCaptions
from .datasets.captions.superpixels import FelzenszwalbSuperpixels
from .datasets.captions.transforms import PackCaptionInputs, RandomResizedCrop
from .datasets.checks.hook import CheckDatasetHook
from .datasets.coco import (
    COCOObjectDataset,
    WeakCOCO14Dataset,
    WeakCOCO14Dataset91,
)
from .datasets.masks.transforms import LoadSeed, LoadTruthIfPresent
from .datasets.placement import RandomPlacement
from .datasets.preprocessor import WeakSegDataPreProcessor
from .datasets.rescale import RandomRescale
from .datasets.sampler import ResumableSampler
from .datasets.size_batches import SameSizeBatchSampler
from .datasets.transforms import LoadColorImage, LoadImageLabels
from .datasets.voc import VOC20Dataset, WeakVOC12Dataset
from .datasets.weak import WeakSegDataset
from .engine import checkpoint_files  # noqa: F401  (safe loaders of mmengine)
from .engine.checkpoints import WholeFileBackend
from .engine.device_hooks import BackendHook, CompileHook
from .engine.hooks import ChannelsLastHook, CheckLossHook, ClassNamesHook
from .engine.normalization import CheckNormalizationHook
from .engine.optim import CPUAmpOptimWrapper, TrainableOptimWrapperConstructor
from .engine.precision import (
    AmpTestLoop,
    AmpThresholdSweepLoop,
    AmpValLoop,
)
from .engine.protocol import ProtocolMetric, SingleAndViews
from .engine.resume import CaptionStreamHook, RandomStateHook
from .evaluation.cam_metric import CAMMetric
from .evaluation.iou import IoUWhereTruth, PartialIoUMetric
from .evaluation.tag_precision import TagPrecision
from .evaluation.threshold_metrics import BackgroundIoU, LabelAgreement
from .evaluation.thresholds import ThresholdSweepLoop
from .models.cam.classifier import CAMHead
from .models.cam.grad_cam import GradCAMHead
from .models.cam.patch_text import PatchTextHead
from .models.cam.patch_text_cam import PatchTextCAMHead
from .models.cam.timm_affinity import ProxyTokenAffinity, TimmAffinity
from .models.cam.timm_backbone import TimmFeatureMaps
from .models.cam.timm_features import GuidedEncoderDecoder, TimmFeatures
from .models.clims.background_texts import BackgroundTexts
from .models.clims.head import CLIMSHead
from .models.clip.text import PromptText, TemplateText
from .models.clip.vit import CLIPViT
from .models.excel.adapter import MapAdapter, MultiLayerAdapter
from .models.excel.enrichment import AttributeText
from .models.excel.head import IntraCorrelationHead
from .models.excel.paired_head import PairedRelationHead
from .models.losses.affinity_diversity import AffinityDiversityLoss
from .models.losses.balanced_ce import BalancedCELoss
from .models.losses.batch_dice import BatchDiceLoss
from .models.losses.cam_seed import CAMSeedLoss
from .models.losses.crf_boundary import CRFBoundaryLoss
from .models.losses.image_text_contrastive import ImageTextContrastiveLoss
from .models.losses.region_area import ActivationAreaLoss
from .models.losses.region_background import BackgroundSuppressionLoss
from .models.losses.region_nce import InfoNCERegionLoss
from .models.losses.region_text import BackgroundTextLoss, ObjectTextLoss
from .models.losses.self_target import SelfTargetLoss
from .models.losses.superpixel_kl import SuperpixelKLLoss
from .models.refine.logit_steps import PAMR, LabelPropagation
from .models.segclip.encoder import GroupingCLIPViT
from .models.segclip.grouping import SemanticGroup, SemanticGroupNeck
from .models.segclip.head import RegionTextHead
from .models.segclip.reconstruction import MaskedReconstructionHead
from .models.segmenters.batched_windows import BatchedEncoderDecoder
from .models.segmenters.cross_labels import CrossLabelSegmentor
from .models.segmenters.deeplab import DeepLabV1Head, DeepLabV2Head
from .models.segmenters.linear import LinearHead
from .models.segmenters.multi_scale import MultiScaleSegmentor
from .models.segmenters.resnet38d import ResNet38d
from .models.segmenters.zero_shot import ZeroShotSegmentor
from .models.weakclip.co_attention import CoAttentionNeck
from .models.weakclip.head import TextGuidedHead, TextScoreHead
from .models.weakclip.pyramid import PyramidAdapter
from .models.weakclip.score_fpn import ScoreFPN
from .pseudo_masks.hook import PseudoMaskHook
from .pseudo_masks.tta import (
    CAMTTAModel,
    ProtocolTTAModel,
    RunningTTAModel,
)
from .pseudo_masks.writer import PseudoMaskWriter
from .toyland.dataset import ToylandDataset

__all__ = [
    'ActivationAreaLoss',
    'AffinityDiversityLoss',
    'AmpTestLoop',
    'AmpThresholdSweepLoop',
    'AmpValLoop',
    'AttributeText',
    'BackendHook',
    'BackgroundIoU',
    'BackgroundSuppressionLoss',
    'BackgroundTextLoss',
    'BackgroundTexts',
    'BalancedCELoss',
    'BatchDiceLoss',
    'BatchedEncoderDecoder',
    'CAMHead',
    'CAMMetric',
    'CAMSeedLoss',
    'CAMTTAModel',
    'CLIMSHead',
    'CLIPViT',
    'COCOObjectDataset',
    'CPUAmpOptimWrapper',
    'CRFBoundaryLoss',
    'CaptionDataset',
    'CaptionStreamHook',
    'ChannelsLastHook',
    'CheckDatasetHook',
    'CheckLossHook',
    'CheckNormalizationHook',
    'ClassNamesHook',
    'CoAttentionNeck',
    'CompileHook',
    'CrossLabelSegmentor',
    'DeepLabV1Head',
    'DeepLabV2Head',
    'FelzenszwalbSuperpixels',
    'GradCAMHead',
    'GroupingCLIPViT',
    'GuidedEncoderDecoder',
    'ImageTextContrastiveLoss',
    'InfoNCERegionLoss',
    'IntraCorrelationHead',
    'IoUWhereTruth',
    'LabelAgreement',
    'LabelPropagation',
    'LinearHead',
    'LoadColorImage',
    'LoadImageLabels',
    'LoadSeed',
    'LoadTruthIfPresent',
    'MapAdapter',
    'MaskedReconstructionHead',
    'MultiLayerAdapter',
    'MultiScaleSegmentor',
    'ObjectTextLoss',
    'PAMR',
    'PackCaptionInputs',
    'PairedRelationHead',
    'PartialIoUMetric',
    'PatchTextCAMHead',
    'PatchTextHead',
    'PromptText',
    'ProtocolMetric',
    'ProtocolTTAModel',
    'ProxyTokenAffinity',
    'PseudoMaskHook',
    'PseudoMaskWriter',
    'PyramidAdapter',
    'RandomPlacement',
    'RandomRescale',
    'RandomResizedCrop',
    'RandomStateHook',
    'RegionTextHead',
    'RepeatFactorSampler',
    'ResNet38d',
    'ResumableSampler',
    'SameSizeBatchSampler',
    'RunningTTAModel',
    'ScoreFPN',
    'SelfTargetLoss',
    'SemanticGroup',
    'SemanticGroupNeck',
    'SingleAndViews',
    'SuperpixelKLLoss',
    'TagPrecision',
    'TemplateText',
    'TextGuidedHead',
    'TextScoreHead',
    'ThresholdSweepLoop',
    'TimmAffinity',
    'TimmFeatureMaps',
    'TimmFeatures',
    'ToylandDataset',
    'TrainableOptimWrapperConstructor',
    'VOC20Dataset',
    'WeakCOCO14Dataset',
    'WeakCOCO14Dataset91',
    'WeakSegDataPreProcessor',
    'WeakSegDataset',
    'WeakVOC12Dataset',
    'WebDatasetCaptions',
    'WholeFileBackend',
    'ZeroShotSegmentor',
]
