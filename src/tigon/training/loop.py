"""The only loop over iterations."""

from collections.abc import Callable, Sequence

from tigon.distributed import any_of
from tigon.training.guard import Watch
from tigon.training.iteration import Record, Training

Watcher = Callable[[Training, Record], None]


def fit(
    training: Training,
    watchers: Sequence[Watcher] = (),
    stop: Callable[[], bool] = lambda: False,
) -> list[Record]:
    """Learn until the run is over, or `stop()` says so between two iterations.

    Arguments:
        watchers: called after each iteration with the training and its record, in order, and
            with each event of the guard, a record that has `event`
    Returns:
        the records of the iterations taken now, and the events, in order
    Raises:
        DivergenceError: if there is trouble that the guard cannot repair, or no guard
    """
    guard = training.guard
    watch = Watch(guard, training) if guard is not None and guard.enabled else None
    records = []
    while not training.finished and not any_of(stop()):
        for record in watch.step(training) if watch else [training.step()]:
            records.append(record)
            for watcher in watchers:
                watcher(training, record)
    return records
