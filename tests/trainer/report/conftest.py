from pathlib import Path

import pytest

from tests.trainer.report.made import write_data, write_model


@pytest.fixture(scope="session")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file with a split by device."""
    return write_data(tmp_path_factory.mktemp("report") / "pumps.npz")


@pytest.fixture(scope="session")
def model_path(data_path: Path) -> Path:
    """A model fitted on its training rows."""
    return write_model(data_path, data_path.with_name("pumps.onnx"))
