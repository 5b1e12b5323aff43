from pathlib import Path

import pytest

from tests.trainer.export.fitted import Fitted, fit_example
from trainer.export import export_model


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    """A fitted model with its card and training windows."""
    return fit_example()


@pytest.fixture(scope="session")
def exported(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of the model file."""
    path: Path = tmp_path_factory.mktemp("export") / "pump.onnx"
    export_model(fitted.model, fitted.card, path, fitted.windows, fitted.class_indices)
    return path.read_bytes()
