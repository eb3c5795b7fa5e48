"""Parameters of the dense CRF, and the published settings by name."""

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class CRFParams:
    """The two kernels of the fully connected CRF and its iterations.

    The pairwise energy is Potts, with the kernel of Kraehenbuehl and Koltun,
    "Efficient Inference in Fully Connected CRFs with Gaussian Edge
    Potentials" (NIPS 2011), Eq. 3, for pixels i, j at p with colour I::

        gaussian_compat  * exp(-|p_i - p_j|^2 / (2 gaussian_sxy^2))
        bilateral_compat * exp(-|p_i - p_j|^2 / (2 bilateral_sxy^2)
                               -|I_i - I_j|^2 / (2 bilateral_srgb^2))

    Args:
        iterations: Number of mean-field updates; 0 gives the normalised
            unaries.
        gaussian_sxy: Standard deviation of the smoothness kernel, in pixels.
        gaussian_compat: Weight of the smoothness kernel; 0 leaves it out.
        bilateral_sxy: Spatial deviation of the appearance kernel, in pixels.
        bilateral_srgb: Colour deviation of the appearance kernel, in grey
            levels of 0..255.
        bilateral_compat: Weight of the appearance kernel; 0 leaves it out.
        scale_factor: Divisor of both spatial deviations: the factor by which
            the maps are smaller than the image that the deviations refer to.

    Raises:
        ValueError: A deviation or the scale factor is not positive, a weight
            or the number of iterations is negative, or both weights are 0.
    """

    iterations: int = 10
    gaussian_sxy: float = 3.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 80.0
    bilateral_srgb: float = 13.0
    bilateral_compat: float = 10.0
    scale_factor: float = 1.0

    def __post_init__(self) -> None:
        positive = (
            'gaussian_sxy',
            'bilateral_sxy',
            'bilateral_srgb',
            'scale_factor',
        )
        for field in fields(self):
            value = getattr(self, field.name)
            # Written so that NaN fails too.
            if field.name in positive and not value > 0:
                raise ValueError(f'{field.name} must be > 0, got {value}')
            if field.name not in positive and not value >= 0:
                raise ValueError(f'{field.name} must be >= 0, got {value}')
        if self.gaussian_compat == self.bilateral_compat == 0:
            raise ValueError(
                'a CRF needs a kernel: gaussian_compat and bilateral_compat '
                'are both 0'
            )


# 10 iterations; 3/1 and 4/67/3 in the order of the tables in papers, weight
# before deviations.
_DEEPLAB = CRFParams(
    gaussian_sxy=1,
    gaussian_compat=3,
    bilateral_sxy=67,
    bilateral_srgb=3,
    bilateral_compat=4,
)

CRF_PRESETS: Mapping[str, CRFParams] = {
    # WeakCLIP's boundary loss on 64x64 maps. The scale factor is 1 although
    # the maps are small, so the appearance kernel spans the whole map and is
    # close to a pure colour kernel.
    'weakclip_train': CRFParams(),
    # The same with the deviations divided by 12, as in DSRG (CVPR 2018),
    # which meets the 321x321 image on a 41x41 map.
    'weakclip_train_dsrg': CRFParams(scale_factor=12),
    # WeakCLIP, network output -> pseudo mask at image size, VOC 2012.
    'voc12': CRFParams(
        gaussian_sxy=3,
        gaussian_compat=3,
        bilateral_sxy=83,
        bilateral_srgb=5,
        bilateral_compat=3,
    ),
    # DeepLabV2 as most papers train and test it (kazuto1011/deeplab-pytorch):
    # CLIMS, POT, BECO. Also WeakCLIP on COCO 2014, masks and segmenter.
    'deeplab': _DEEPLAB,
    # CLIP-ES (CVPR 2023), GradCAM seeds -> pseudo mask, and its segmenter.
    'clipes': _DEEPLAB,
    # ExCEL (CVPR 2025), output of the network.
    'excel': _DEEPLAB,
    # WeCLIP (CVPR 2024) and WeCLIP+ (TPAMI 2025), output of the network.
    'weclip': CRFParams(
        gaussian_sxy=3,
        gaussian_compat=3,
        bilateral_sxy=64,
        bilateral_srgb=5,
        bilateral_compat=4,
    ),
    # WeakCLIP, output of the segmenter retrained on the masks, VOC 2012.
    'weakclip': CRFParams(
        gaussian_sxy=1,
        gaussian_compat=3,
        bilateral_sxy=112,
        bilateral_srgb=2,
        bilateral_compat=3,
    ),
}


def resolve_crf_params(
    params: CRFParams | str | Mapping[str, float],
) -> CRFParams:
    """Return parameters given as instance, name of a preset or dict.

    Args:
        params: Instance, name in ``CRF_PRESETS``, or fields of
            :class:`CRFParams`.

    Raises:
        ValueError: No preset has this name, or a value is out of range.
        TypeError: A key of the dict is not a field of :class:`CRFParams`, or
            ``params`` is of another type.
    """
    if isinstance(params, CRFParams):
        return params
    if isinstance(params, str):
        if params not in CRF_PRESETS:
            raise ValueError(
                f'unknown CRF preset {params!r}, choose one of '
                f'{sorted(CRF_PRESETS)} or give the values'
            )
        return CRF_PRESETS[params]
    if isinstance(params, Mapping):
        return CRFParams(**params)
    raise TypeError(
        'CRF params must be a CRFParams, the name of a preset or a dict, '
        f'got {type(params).__name__}'
    )
