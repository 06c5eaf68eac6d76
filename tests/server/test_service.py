"""What requests share: the queue to the model, background runs, shared answers, the schedule."""

import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from imgindex import BusyError, ImageIndex, UnreadablePictureError, UsageError
from imgindex.server import batcher as batches
from imgindex.server.errors import OverloadedError
from imgindex.server.scheduler import Scheduler
from imgindex.server.service import Service
from imgindex.server.settings import Settings
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder, GatedEmbedder


@pytest.fixture
def gated() -> GatedEmbedder:
    return GatedEmbedder()


def serve(tmp_path, embedder, **settings) -> Service:
    return Service(Settings(tmp_path / "index", embedder=embedder, **settings))


@pytest.fixture
def service(tmp_path, embedder):
    service = serve(tmp_path, embedder)
    yield service
    service.close()


def pictures(tmp_path, *seeds: int) -> list[bytes]:
    return [write_picture(tmp_path / f"{seed}.png", seed).read_bytes() for seed in seeds]


def wait(condition, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


def test_an_upload_is_answered_with_what_it_copies(service, tmp_path):
    one, two = pictures(tmp_path, 1, 2)
    first, second, again, broken = service.upload([one, two, one, b"GIF89a"])
    assert (first.image, first.new, first.exact, first.near) == (1, True, (), ())
    assert (second.image, second.new) == (2, True)
    assert (again.image, again.new, again.exact) == (1, False, ())
    assert isinstance(broken, UnreadablePictureError)
    assert service.upload([one])[0] == again


def test_uploads_of_many_requests_are_one_batch(tmp_path, gated):
    service = serve(tmp_path, gated)
    threads = [threading.Thread(target=service.upload, args=([data],)) for data in pictures(tmp_path, *range(8))]
    for thread in threads:
        thread.start()
    wait(lambda: len(service.batcher) == 8)
    gated.gate.set()
    for thread in threads:
        thread.join()
    wait(lambda: service.ready() is None)
    gated.batches.remove(1)  # when the model was loaded
    assert sum(gated.batches) == 8
    assert len(gated.batches) <= 2  # the one under way, and all others
    assert service.index.counts().images == 8
    assert len(service.batcher) == 0
    service.close()


def test_more_than_the_queue_holds_is_refused_whole(tmp_path, gated, monkeypatch):
    monkeypatch.setattr(batches, "WAITING", 4)
    service = serve(tmp_path, gated)
    thread = threading.Thread(target=service.upload, args=(pictures(tmp_path, 1, 2, 3),))
    thread.start()
    wait(lambda: len(service.batcher) == 3)
    with pytest.raises(OverloadedError, match="try again in 1 s") as full:
        service.upload(pictures(tmp_path, 4, 5))
    assert full.value.retry_after == 1
    assert len(service.batcher) == 3
    gated.gate.set()
    thread.join()
    assert len(service.upload(pictures(tmp_path, 4, 5))) == 2
    service.close()


def test_a_failure_of_the_model_reaches_the_request_and_no_other(tmp_path, gated):
    service = serve(tmp_path, gated)
    gated.gate.set()
    wait(lambda: service.ready() is None)
    good = gated.embed
    gated.embed = lambda pixels: good(pixels) * np.float32("nan")
    with pytest.raises(Exception, match="NaN"):
        service.upload(pictures(tmp_path, 1))
    gated.embed = good
    assert service.upload(pictures(tmp_path, 1))[0].new
    service.close()


def test_a_query_is_not_kept(service, tmp_path):
    one, two = pictures(tmp_path, 1, 2)
    service.upload([one])
    assert service.look(one) == 1
    assert service.index.similar(service.look(two)).results[0].id == 1
    assert service.index.counts().images == 1


def test_answers_are_computed_once_for_a_version_of_the_index(service, tmp_path, monkeypatch):
    service.upload(pictures(tmp_path, 1, 2))
    computed: list[int] = []
    duplicates = service.index.duplicates.find
    monkeypatch.setattr(service.index.duplicates, "find", lambda: computed.append(1) or duplicates())
    before = service.duplicates(), service.etag()
    assert len(computed) == 2  # the first time it writes down what it proves, which makes another version
    assert (service.duplicates() is before[0], service.etag()) == (True, before[1])
    assert len(computed) == 2
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as other:
        other.remove([1])
    assert service.duplicates().images == 1
    assert service.etag() != before[1]


def test_a_thumbnail_is_made_once_and_goes_with_its_image(service, tmp_path, monkeypatch):
    service.upload(pictures(tmp_path, 1))
    first = service.thumbnail(1)
    assert first[:3] == b"\xff\xd8\xff"
    monkeypatch.setattr(service.index.images, "thumbnail", lambda _: 1 / 0)
    assert service.thumbnail(1) is first
    service.forget(1)
    with pytest.raises(Exception, match="no image 1"):
        service.thumbnail(1)


def test_a_run_is_watched_and_runs_alone(service, tmp_path, monkeypatch):
    service.upload(pictures(tmp_path, *range(12)))
    go_on = threading.Event()
    recluster = service.index.themes.recluster

    def slow(clusters, *, why, progress):
        go_on.wait(10)
        return recluster(clusters, why=why, progress=progress)

    monkeypatch.setattr(service.index.themes, "recluster", slow)
    job = service.jobs.start_recluster(3)
    assert (job.state, service.jobs.last()) == ("running", job)
    with pytest.raises(BusyError, match="Another run is in progress"):
        service.jobs.start_recluster()
    go_on.set()
    wait(lambda: service.jobs.get(job.id).state == "done")
    done = service.jobs.get(job.id)
    assert (done.run, done.done, done.reason) == (1, done.total, None)
    assert service.clusters().run.k == 3


def test_a_run_beside_the_command_line_fails_in_a_sentence(service, tmp_path, caplog):
    service.upload(pictures(tmp_path, *range(12)))
    from imgindex.storage.lock import alone

    with alone(tmp_path / "index" / "recluster.lock"):
        job = service.jobs.start_recluster()
        wait(lambda: service.jobs.get(job.id).state == "failed")
    assert service.jobs.get(job.id).reason == "Another recluster of this index is running; wait for it to end."
    assert caplog.messages == [f"recluster: {service.jobs.get(job.id).reason}"]


def test_closing_ends_a_run_at_its_next_step(service, tmp_path, monkeypatch):
    service.upload(pictures(tmp_path, *range(12)))
    started = threading.Event()

    def endless(_clusters, *, progress, **_):
        while True:
            started.set()
            progress(1, 2)
            time.sleep(0.01)

    monkeypatch.setattr(service.index.themes, "recluster", endless)
    job = service.jobs.start_recluster()
    started.wait(10)
    service.jobs.close()
    assert (service.jobs.get(job.id).state, service.jobs.get(job.id).reason) == ("failed", "The server was stopped.")


@pytest.mark.parametrize("clusters", [0, -1, 13])
def test_an_impossible_number_of_clusters_is_refused_at_once(service, tmp_path, clusters):
    service.upload(pictures(tmp_path, *range(12)))
    with pytest.raises(UsageError, match="cannot be made of 12 images"):
        service.jobs.start_recluster(clusters)


# The schedule


def test_reclustering_runs_when_it_is_due_only(service, tmp_path):
    schedule = Scheduler(service)
    schedule.recluster()
    assert service.jobs.last() is None  # nothing to cluster
    service.upload(pictures(tmp_path, *range(12)))
    schedule.recluster()
    first = service.jobs.last()
    wait(lambda: service.jobs.get(first.id).state == "done")
    schedule.recluster()
    assert service.jobs.last().id == first.id


def test_after_a_recluster_that_failed_the_schedule_waits(service, tmp_path, monkeypatch):
    from imgindex.storage.lock import alone

    service.upload(pictures(tmp_path, *range(12)))
    schedule = Scheduler(service)
    with alone(tmp_path / "index" / "recluster.lock"):
        schedule.recluster()
        first = service.jobs.last()
        wait(lambda: service.jobs.get(first.id).state == "failed")
        schedule.recluster()
        assert service.jobs.last().id == first.id
    schedule.recluster()
    assert service.jobs.last().id == first.id
    monkeypatch.setattr("imgindex.server.scheduler.RETRY", 0)
    schedule.recluster()
    assert service.jobs.last().id != first.id
    wait(lambda: service.jobs.last().state == "done")
    assert service.jobs.since_failure() == float("inf")


def test_a_report_is_kept_when_it_is_due_only(service, tmp_path, monkeypatch):
    schedule = Scheduler(service)
    schedule.report()
    assert service.index.reports.history() == []
    service.upload(pictures(tmp_path, 1))
    schedule.report()
    schedule.report()
    assert len(service.index.reports.history()) == 1
    tomorrow = datetime.now(UTC) + timedelta(days=1, minutes=1)
    monkeypatch.setattr("imgindex.storage.database.now", lambda: tomorrow.isoformat(timespec="seconds"))
    monkeypatch.setattr("imgindex.schedule.datetime", _Clock(tomorrow))
    schedule.report()
    assert len(service.index.reports.history()) == 2


def test_a_report_of_a_clock_that_was_ahead_does_not_stop_the_next(service, tmp_path, monkeypatch):
    schedule = Scheduler(service)
    service.upload(pictures(tmp_path, 1))
    with monkeypatch.context() as ahead:
        ahead.setattr("imgindex.reports.store.now", lambda: "2099-01-01T00:00:00+00:00")
        service.index.reports.make()
    schedule.report()
    schedule.report()
    assert len(service.index.reports.history()) == 2


def test_nor_do_the_walks(tmp_path, embedder, photos):
    service = serve(tmp_path, embedder, sync="1d")
    service.index.add([photos])
    synced: list[bool] = []
    schedule = Scheduler(service, synced=lambda: synced.append(True))
    schedule._synced += timedelta(days=365)
    schedule.sync()
    schedule.sync()
    assert synced == [True]
    service.close()


def test_the_schedule_waits_by_a_clock_that_is_never_set(service, monkeypatch):
    """Setting the wall clock back a year must not make it wait for a year."""
    monkeypatch.setattr("imgindex.server.scheduler.LOOK", 0.05)
    looked: list[float] = []
    monkeypatch.setattr(service.index.themes, "due", lambda _: looked.append(time.time()) or None)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 365 * 86_400)
    schedule = Scheduler(service)
    schedule.start()
    wait(lambda: looked)
    monkeypatch.setattr(time, "time", real)
    wait(lambda: looked[-1] < real() + 1)
    schedule.close()


class _Clock:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self, _zone) -> datetime:
        return self._now


def test_added_folders_are_walked_on_a_schedule(tmp_path, embedder, photos):
    service = serve(tmp_path, embedder, sync="1m")
    service.index.add([photos])
    synced: list[bool] = []
    schedule = Scheduler(service, synced=lambda: synced.append(True))
    write_picture(photos / "new.png", 99)
    schedule.sync()
    assert (service.index.counts().images, synced) == (5, [])
    schedule._synced -= timedelta(minutes=1)
    schedule.sync()
    assert (service.index.counts().images, synced) == (6, [True])
    service.close()


def test_a_schedule_that_is_none_is_refused_at_the_start(tmp_path, embedder):
    service = serve(tmp_path, embedder, recluster="now and then")
    with pytest.raises(UsageError, match='"now and then" is not a valid schedule'):
        Scheduler(service)
    service.close()


def test_a_job_that_fails_is_logged_and_comes_again(service, monkeypatch, caplog):
    monkeypatch.setattr("imgindex.server.scheduler.LOOK", 0.05)
    monkeypatch.setattr(service.index.themes, "due", lambda _: (_ for _ in ()).throw(UsageError("It cannot.")))
    schedule = Scheduler(service)
    schedule.start()
    wait(lambda: caplog.text.count("recluster: It cannot.") >= 2)
    schedule.close()
