"""The server's metrics, for Prometheus at /metrics."""

import time
from collections.abc import Iterator
from datetime import datetime

from apiflask import APIFlask
from flask import Blueprint, Flask, Response, g, request, request_started
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from imgindex.server.service import Service

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# From a cached answer to an upload that waits for a full queue.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What is counted in one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "imgindex_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "imgindex_request_seconds", "Time to answer a request.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.pictures = Counter("imgindex_embedded", "Pictures embedded by the model.", registry=self.registry)
        self.embedding = Histogram(
            "imgindex_embedding_seconds", "Time to embed a batch.", buckets=SECONDS, registry=self.registry
        )
        self.sync = Gauge(
            "imgindex_last_sync_timestamp_seconds",
            "When the server last walked the added folders; 0: not since it started.",
            registry=self.registry,
        )

    def embedded(self, pictures: int, seconds: float) -> None:
        """Count a batch of the model."""
        self.pictures.inc(pictures)
        self.embedding.observe(seconds)

    def synced(self) -> None:
        """The added folders have been walked."""
        self.sync.set_to_current_time()


class IndexCollector:
    """Figures of the index and the queue, collected on each request of /metrics."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[GaugeMetricFamily]:
        index = self._service.index
        counts, runs, reports = index.counts(), index.themes.runs(), index.reports.history()
        figures = {
            "imgindex_images": ("Different images in the index.", counts.images),
            "imgindex_files": ("Files in the index.", counts.files),
            "imgindex_waiting": ("Pictures waiting for the model or in it.", len(self._service.batcher)),
            "imgindex_last_recluster_timestamp_seconds": (
                "When the themes were last made; 0: never.", _timestamp(runs[0].created if runs else None)
            ),
            "imgindex_last_report_timestamp_seconds": (
                "When a report was last saved; 0: never.", _timestamp(reports[-1].created if reports else None)
            ),
        }  # fmt: skip
        for name, (about, value) in figures.items():
            yield GaugeMetricFamily(name, about, value=value)


def register(app: APIFlask, metrics: Metrics) -> None:
    """Count an app's requests, refused ones included, and serve the metrics."""
    app.extensions["imgindex.metrics"] = metrics
    metrics.registry.register(IndexCollector(app.extensions["imgindex"]))

    def begin(_app: Flask, **_: object) -> None:
        g.counted_from = time.perf_counter()

    def end(response: Response) -> Response:
        # A fixed, small set of labels, whatever a client sends.
        method = request.method if request.method in METHODS else "other"
        route = request.url_rule.rule if request.url_rule else "none"
        metrics.requests.labels(method, route, response.status_code).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - g.counted_from)
        return response

    def show() -> Response:
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(metrics.registry), content_type=kind)

    request_started.connect(begin, app, weak=False)
    app.after_request(end)
    bp = Blueprint("metrics", __name__)
    bp.add_url_rule("/metrics", "show", show)
    app.register_blueprint(bp)


def _timestamp(created: str | None) -> float:
    return datetime.fromisoformat(created).timestamp() if created else 0.0
