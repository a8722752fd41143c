"""One real cluster for the whole run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kubernetes_server import RealCluster, real_cluster


@pytest.fixture(name="cluster", scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    folder: Path = tmp_path_factory.mktemp("kubernetes")
    with real_cluster(folder) as cluster:
        yield cluster
