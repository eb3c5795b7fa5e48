from .deeplab import DeepLabV1Head, DeepLabV2Head

__all__ = ['DeepLabV1Head', 'DeepLabV2Head']
