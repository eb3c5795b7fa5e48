import dataclasses

import pytest

from mmseg_weakclip.models.refine.crf_params import (
    CRF_PRESETS,
    CRFParams,
    resolve_crf_params,
)


@pytest.mark.parametrize(
    ('name', 'gaussian', 'bilateral'),
    [
        ('weakclip_train', (3, 3), (80, 13, 10)),
        ('weakclip_train_dsrg', (3, 3), (80, 13, 10)),
        ('voc12', (3, 3), (83, 5, 3)),
        ('deeplab', (1, 3), (67, 3, 4)),
        ('excel', (1, 3), (67, 3, 4)),
        ('weclip', (3, 3), (64, 5, 4)),
        ('weakclip', (1, 3), (112, 2, 3)),
        ('clipes', (1, 3), (67, 3, 4)),
    ],
)
def test_presets_are_the_published_values(name, gaussian, bilateral):
    params = resolve_crf_params(name)
    assert (params.gaussian_sxy, params.gaussian_compat) == gaussian
    assert (
        params.bilateral_sxy,
        params.bilateral_srgb,
        params.bilateral_compat,
    ) == bilateral
    assert params.iterations == 10
    assert params.scale_factor == (12 if name.endswith('dsrg') else 1)


def test_params_from_a_config_dict_and_from_an_instance():
    params = resolve_crf_params(dict(iterations=3, bilateral_srgb=7))
    assert params == CRFParams(iterations=3, bilateral_srgb=7)
    assert resolve_crf_params(params) is params


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match='voc13') as error:
        resolve_crf_params('voc13')
    for name in CRF_PRESETS:
        assert name in str(error.value)


def test_unknown_key_and_type_are_named():
    with pytest.raises(TypeError, match='srgb'):
        resolve_crf_params(dict(srgb=3))
    with pytest.raises(TypeError, match='int'):
        resolve_crf_params(3)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('gaussian_sxy', 0),
        ('bilateral_srgb', -1),
        ('bilateral_sxy', float('nan')),
        ('scale_factor', 0),
        ('iterations', -1),
        ('gaussian_compat', -0.5),
    ],
)
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f'{name} .*{value}'):
        CRFParams(**{name: value})


def test_at_least_one_kernel():
    with pytest.raises(ValueError, match='both 0'):
        CRFParams(gaussian_compat=0, bilateral_compat=0)


def test_params_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CRFParams().iterations = 3
