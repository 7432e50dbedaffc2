"""When the series of a metric are on the page, and when they are not."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase


def start_at_zero(metric: MetricWrapperBase, *values: Iterable[str]) -> None:
    """Have a series of every combination of label values from now on: of one that appears with its
    first event, no rate sees that event, and of one that is missing no alert is raised.
    """
    for labels in product(*values):
        metric.labels(*labels)


@contextmanager
def exported(metrics: Iterable[MetricWrapperBase]) -> Iterator[None]:
    """Have metrics on the page for as long as the block."""
    for metric in metrics:
        REGISTRY.register(metric)
    try:
        yield
    finally:
        for metric in metrics:
            REGISTRY.unregister(metric)
