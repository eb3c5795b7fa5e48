"""Segmenters that mmsegmentation lacks: ResNet-38, DeepLabV1 and V2."""
