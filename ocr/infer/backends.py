"""What runs a network: the training code's own layers, Paddle's predictor, or ONNX Runtime.

All give the same probabilities for the same batch: to 1e-5, ONNX Runtime to 1e-4.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from augment.errors import ScriptoriumError
from ocr import runtime
from ocr.engine import checkpoint as store
from ocr.spec import (
    ClassifierSpec,
    ClsPreprocess,
    DetPreprocess,
    DetSpec,
    ModelSpec,
    Preprocess,
    StylePreprocess,
    StyleSpec,
)

# Names of the exported files; Paddle 3 writes the network as .json, Paddle 2 as .pdmodel.
STEM = "inference"
NETWORKS = (f"{STEM}.json", f"{STEM}.pdmodel")
PARAMETERS = f"{STEM}.pdiparams"
ONNX = f"{STEM}.onnx"
_S = TypeVar("_S", bound=ClassifierSpec)
_Preprocess: TypeAlias = Preprocess | DetPreprocess | ClsPreprocess | StylePreprocess
_NOISE = b"ReduceMeanCheckIfOneDNNSupport"


class Backend(Protocol):
    """A network that is ready to read.

    Attributes:
        spec: see `ModelSpec`.
    """

    spec: ModelSpec

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of the classes at every time step.

        Args:
            images: N × H × W × C, as `Preprocess.stack` makes them.

        Returns:
            N × T × classes; the classes of a step add up to 1.
        """
        ...


class ModelBackend:
    """A network as it is trained.

    Args:
        model: a `paddle.nn.Layer` from normalised pictures to scores; read in evaluation mode, then left as it was.
        spec: what goes with it.
    """

    def __init__(self, model: Any, spec: ModelSpec) -> None:
        self.spec = spec
        self._model = model

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backend`."""
        from paddle.nn import functional as F

        with scores_of(self._model, self.spec.preprocess.normalise(images)) as scores:
            found: NDArray[np.float32] = F.softmax(scores, axis=-1).numpy()
        return found


@contextmanager
def scores_of(model: Any, images: NDArray[np.float32]) -> Iterator[Any]:
    """What a network makes of normalised pictures in evaluation mode, without gradients; it is then left as it was."""
    import paddle

    training = model.training
    if training:
        model.eval()
    try:
        with paddle.no_grad():
            yield model(paddle.to_tensor(images))
    finally:
        if training:
            model.train()


class _PaddleNetwork:
    """A network in Paddle's inference format."""

    def __init__(self, folder: Path, preprocess: _Preprocess, threads: int) -> None:
        self._preprocess = preprocess
        network = next((folder / name for name in NETWORKS if (folder / name).is_file()), None)
        parameters = folder / PARAMETERS
        if network is None or not parameters.is_file():
            missing = PARAMETERS if network else " or ".join(NETWORKS)
            raise ScriptoriumError(f"{folder}: {missing} is missing; export the model again")
        threads = start_paddle(threads)
        from paddle import inference

        config = inference.Config(str(network), str(parameters))
        config.disable_gpu()
        config.disable_glog_info()
        config.set_cpu_math_library_num_threads(threads)
        config.enable_mkldnn()
        config.enable_memory_optim()
        if network.suffix == ".json":
            config.enable_new_ir(True)
            config.enable_new_executor(True)
        try:
            with _clean_output():
                self._predictor = inference.create_predictor(config)
                self._input = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
                self._output = self._predictor.get_output_handle(self._predictor.get_output_names()[0])
                self.run(np.zeros((1, *preprocess.smallest, preprocess.channels), np.uint8))
        except (RuntimeError, ValueError, OSError) as error:
            raise ScriptoriumError(
                f"{network}: Paddle cannot read it ({_first_line(error)}); export the model again"
            ) from error

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See the protocol that the class is of."""
        values = self._preprocess.normalise(images)
        self._input.reshape(values.shape)
        self._input.copy_from_cpu(values)
        self._predictor.run()
        found: NDArray[np.float32] = self._output.copy_to_cpu()
        return found


class _OnnxNetwork:
    """A network in ONNX format."""

    def __init__(self, folder: Path, preprocess: _Preprocess, threads: int) -> None:
        self._preprocess = preprocess
        network = folder / ONNX
        if not network.is_file():
            raise ScriptoriumError(f"{network}: is missing; export the model again")
        try:
            import onnxruntime
        except ImportError:
            raise ScriptoriumError(
                f"{network}: needs ONNX Runtime; install it with: pip install scriptorium[onnx]"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or runtime.cores()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class
            raise ScriptoriumError(
                f"{network}: ONNX Runtime cannot read it ({_first_line(error)}); export the model again"
            ) from error
        self._input = self._session.get_inputs()[0].name

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See the protocol that the class is of."""
        found: NDArray[np.float32] = self._session.run(None, {self._input: self._preprocess.normalise(images)})[0]
        return found


class PaddleBackend(_PaddleNetwork):
    """A recogniser in Paddle's inference format, as `ocr.infer.export` writes it; for one thread at a time.

    Args:
        folder: of the exported model.
        threads: of the network; 0: as many as Paddle was started with.

    Raises:
        ScriptoriumError: files are missing, or Paddle cannot read them.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.spec = ModelSpec.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


class OnnxBackend(_OnnxNetwork):
    """A recogniser in ONNX format on ONNX Runtime; needs no Paddle.

    Args:
        folder: of the exported model.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: files are missing, ONNX Runtime is not installed, or it cannot read the model.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.spec = ModelSpec.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


class MapPaddleBackend(_PaddleNetwork):
    """A detector in Paddle's inference format; as `PaddleBackend`."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.spec = DetSpec.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


class MapOnnxBackend(_OnnxNetwork):
    """A detector in ONNX format; as `OnnxBackend`."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.spec = DetSpec.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


class ClsPaddleBackend(_PaddleNetwork, Generic[_S]):
    """A classifier in Paddle's inference format, its spec of the kind that is asked for; else as `PaddleBackend`."""

    def __init__(self, folder: Path, kind: type[_S], threads: int = 0) -> None:
        self.spec = kind.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


class ClsOnnxBackend(_OnnxNetwork, Generic[_S]):
    """A classifier in ONNX format, its spec of the kind that is asked for; else as `OnnxBackend`."""

    def __init__(self, folder: Path, kind: type[_S], threads: int = 0) -> None:
        self.spec = kind.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


class StylePaddleBackend(_PaddleNetwork):
    """A network that gives texts another look in Paddle's inference format; as `PaddleBackend`."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.spec = StyleSpec.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


class StyleOnnxBackend(_OnnxNetwork):
    """A network that gives texts another look in ONNX format; as `OnnxBackend`."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.spec = StyleSpec.load(folder)
        super().__init__(folder, self.spec.preprocess, threads)


def open_backend(path: str | Path, threads: int = 0) -> Backend:
    """A model ready to read, whatever form it has.

    Args:
        path: a run directory (its best or newest checkpoint), a checkpoint, or an exported model.
        threads: of the network; 0: all cores.

    Raises:
        ScriptoriumError: there is no model, it is broken, or what runs it is not installed.
    """
    folder = store.resolve(path)
    if (folder / ONNX).is_file():
        return OnnxBackend(folder, threads)
    if any((folder / name).is_file() for name in NETWORKS):
        return PaddleBackend(folder, threads)
    start_paddle(threads)
    return ModelBackend(*load_network(folder))


def load_network(folder: Path) -> tuple[Any, ModelSpec]:
    """The network of a checkpoint, a `paddle.nn.Layer` in evaluation mode with the weights to predict with.

    Raises:
        ScriptoriumError: no checkpoint, a broken one, or weights that do not fit its architecture.
    """
    import paddle

    from ocr.config import Architecture
    from ocr.models.build import build_model

    spec, weights = store.load_model(folder)
    if not isinstance(spec, ModelSpec):
        spec = ModelSpec.load(folder)  # says that it is of another task
    with paddle.utils.unique_name.guard():
        model = build_model(Architecture(**spec.architecture), len(spec.units) + 1, spec.preprocess.channels)
    give_weights(model, weights, folder)
    return model, spec


def give_weights(model: Any, weights: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Set all weights of a network, which is then in evaluation mode.

    Raises:
        ScriptoriumError: they are of another architecture; `folder` is where they came from.
    """
    import paddle

    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise ScriptoriumError(f"{folder}: the weights are not those of the architecture in spec.json; name another")
    model.set_state_dict({name: paddle.to_tensor(value) for name, value in weights.items()})
    model.eval()


def start_paddle(threads: int) -> int:
    """Set up the process where Paddle is not imported yet; the number of threads that its predictor is to use."""
    if "paddle" not in sys.modules:
        try:
            started = runtime.start(threads)
            runtime.import_paddle()
        except ImportError:
            raise ScriptoriumError("this model needs Paddle; install it with: pip install scriptorium[cpu]") from None
        return started.threads
    told = os.environ.get("OMP_NUM_THREADS", "")
    return threads or (int(told) if told.isdigit() else 1)


@contextmanager
def _clean_output() -> Iterator[None]:
    """Keep a debugging line of Paddle 3.3's first run off standard output, where results go; let all else through."""
    try:
        output = os.dup(1)
    except OSError:  # a process without standard output
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(output, 1)
            os.close(output)
            caught.seek(0)
            for line in caught:
                if line.strip() != _NOISE:
                    os.write(1, line)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
