"""One thread, and a turn for each page."""

import threading
import time

import pytest

from tigon.explorer.worker import Worker


class Busy:
    """A page that always has work, up to a number of turns."""

    def __init__(self, log, name, turns):
        self.log, self.name, self.left = log, name, turns
        self.done = threading.Event()

    def wait(self, now):
        return 0 if self.left else None

    def turn(self):
        self.log.append(self.name)
        self.left -= 1
        if not self.left:
            self.done.set()


@pytest.fixture
def worker():
    """A worker, not yet started."""
    worker = Worker()
    yield worker
    worker.stop()


def test_pages_take_turns_one_after_the_other(worker):
    log = []
    pages = [Busy(log, name, 20) for name in "ab"]
    for page in pages:
        worker.add(page)
    worker.start()
    assert all(page.done.wait(10) for page in pages)
    assert "".join(log) == "ab" * 20


def test_a_page_that_fails_leaves_the_others_their_turns(worker, capsys):
    class Broken(Busy):
        def turn(self):
            super().turn()
            raise RuntimeError("broken on purpose")

    log = []
    broken, other = Broken(log, "x", 3), Busy(log, "o", 3)
    worker.add(broken)
    worker.add(other)
    worker.start()
    assert broken.done.wait(10) and other.done.wait(10)
    assert "broken on purpose" in capsys.readouterr().err


def test_a_job_is_done_once_and_the_thread_sleeps_until_there_is_work(worker):
    done = threading.Event()
    worker.start()
    time.sleep(0.05)
    worker.submit(done.set)
    assert done.wait(10)
    page = Busy([], "late", 0)
    worker.add(page)
    page.left = 1
    worker.wake()
    assert page.done.wait(10)


def test_a_page_that_waits_for_a_time_is_woken_by_it(worker):
    class Later(Busy):
        at = time.monotonic() + 0.1

        def wait(self, now):
            return max(0.0, self.at - now) if self.left else None

    page = Later([], "later", 1)
    worker.add(page)
    worker.start()
    assert page.done.wait(10) and time.monotonic() >= page.at
