"""Writing and loading of ONNX and TorchScript files."""

import io
import json
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType

import torch
from mmengine.utils import digit_version
from torch import Tensor

from .segmenter import ExportError, ExportSegmenter

# The first release whose exporter takes names for dynamic axes.
MINIMUM_TORCH = '2.7'
# Largest size of one protocol buffers file.
MAXIMUM_ONNX_BYTES = 2**31 - 1
INPUT = 'images'
METADATA = 'metadata.json'

Predict = Callable[[Tensor], Tensor]


def require_onnx() -> tuple[ModuleType, ModuleType]:
    """Return the libraries onnx and onnxruntime.

    Raises:
        ImportError: onnx, onnxruntime or onnxscript is not installed.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (PyTorch's exporter is written in it)
    except ImportError as error:
        raise ImportError(
            f'ONNX files need {error.name}: '
            "pip install 'mmseg_weakclip[export]'"
        ) from error
    return onnx, onnxruntime


def to_onnx(
    segmenter: ExportSegmenter,
    images: Tensor,
    metadata: Mapping[str, str],
    opset: int | None = None,
) -> bytes:
    """Trace a segmenter into an ONNX file.

    Args:
        segmenter: Segmenter to trace, on the CPU.
        images: Images for the trace, (B, 3, H, W), B > 1.
        metadata: Metadata properties of the file.
        opset: Version of ONNX's operators; None for the exporter's own.

    Raises:
        ExportError: The segmenter cannot be traced or converted to this
            opset, or is too large.
        ImportError: onnx, onnxruntime or onnxscript is not installed.
    """
    require_onnx()
    if digit_version(torch.__version__) < digit_version(MINIMUM_TORCH):
        raise ExportError(
            f'ONNX files need torch>={MINIMUM_TORCH}, installed is '
            f'{torch.__version__}'
        )
    # The exporter on torch.export keeps sizes as symbols. The older one on
    # traces (dynamo=False) is deprecated, and with torch 2.15 writes the
    # traced size into attention: SegFormer and CLIP's towers then run at
    # that size only, and fused attention and .mT cannot be written at all.
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                segmenter,
                (images,),
                dynamo=True,
                dynamic_shapes=[{0: 'batch', 2: 'height', 3: 'width'}],
                input_names=[INPUT],
                output_names=[segmenter.output],
                opset_version=opset,
                external_data=False,
                verbose=False,
            )
        if program is None:
            raise RuntimeError('the exporter returned nothing')
        proto = program.model_proto
    except Exception as error:
        raise _untraceable('ONNX', error) from error
    (written,) = (o.version for o in proto.opset_import if not o.domain)
    # Where it cannot convert, the exporter only logs that and goes on.
    if opset not in (None, written):
        raise ExportError(
            f'PyTorch writes it with opset {written}, and cannot convert '
            f'that to {opset}'
        )
    if proto.ByteSize() > MAXIMUM_ONNX_BYTES:
        raise ExportError(
            f'it has {proto.ByteSize() / 2**30:.1f} GiB, more than the 2 GiB '
            "that one ONNX file may have; take format 'torchscript'"
        )
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto.SerializeToString()


def load_onnx(content: bytes) -> Predict:
    """Return a function that runs the bytes of an ONNX file on the CPU."""
    _, onnxruntime = require_onnx()
    session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
    )

    def predict(images: Tensor) -> Tensor:
        (output,) = session.run(None, {INPUT: images.numpy()})
        return torch.from_numpy(output)

    return predict


def to_torchscript(
    segmenter: ExportSegmenter, images: Tensor, metadata: Mapping[str, str]
) -> bytes:
    """Trace a segmenter into a TorchScript file.

    Args:
        segmenter: Segmenter to trace, on the CPU.
        images: Images for the trace, (B, 3, H, W).
        metadata: Content of ``metadata.json`` in the file.

    Raises:
        ExportError: The segmenter cannot be traced.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Warns of each size that becomes a number, mostly in checks.
            # Those that matter show when other sizes are compared.
            warnings.simplefilter('ignore', torch.jit.TracerWarning)
            # PyTorch recommends torch.export, which C++ cannot read.
            warnings.simplefilter('ignore', FutureWarning)
            traced = torch.jit.trace(segmenter, (images,), check_trace=False)
            buffer = io.BytesIO()
            torch.jit.save(
                traced,
                buffer,
                _extra_files={METADATA: json.dumps(dict(metadata))},
            )
    except Exception as error:
        raise _untraceable('TorchScript', error) from error
    return buffer.getvalue()


def load_torchscript(content: bytes) -> Predict:
    """Return a function that runs the bytes of a TorchScript file."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)
        module = torch.jit.load(io.BytesIO(content), map_location='cpu')

    def predict(images: Tensor) -> Tensor:
        with torch.no_grad():
            return module(images)

    return predict


def _untraceable(name: str, error: BaseException) -> ExportError:
    """Return a tracer's long error as an error of one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = str(error).strip().partition('\n')[0]
    return ExportError(f'{name} cannot express the model ({line})')
