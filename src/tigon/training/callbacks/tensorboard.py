"""RUN/tensorboard: the content of metrics.jsonl, with images and histograms, for TensorBoard.

The events always agree with metrics.jsonl. A resumed run hides events that do not, and writes
those that are missing, after a kill or a period without TensorBoard, from metrics.jsonl. So the
events are those of a run that was never stopped, except for the histograms of missing iterations.
"""

import importlib.util
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from tigon.errors import TigonError, install
from tigon.learners.base import Record

NOTHING = -1
MISSING = f"--tensorboard: TensorBoard is not installed; {install('tensorboard')}"


def require_tensorboard() -> None:
    """Check that TensorBoard is installed.

    Raises:
        TigonError: if not; it says what to install
    """
    try:
        found = importlib.util.find_spec("tensorboard") is not None
    except ValueError:  # what importlib says of a name that sys.modules blocks
        found = False
    if not found:
        raise TigonError(MISSING)


class TensorBoard:
    """Writes the events of one run, in the first of its processes.

    Arguments:
        folder: RUN/tensorboard
        records: records in metrics.jsonl up to the iteration from which the run continues
        events: events of the guard up to there
        snapshots: iterations, and what chains showed at them, uint8 (N, H, W, C)
    Raises:
        TigonError: if TensorBoard is missing, or the folder cannot be written
    """

    def __init__(
        self,
        folder: Path,
        records: Sequence[Record] = (),
        events: Sequence[Record] = (),
        snapshots: Iterable[tuple[int, np.ndarray]] = (),
    ) -> None:
        require_tensorboard()
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            seconds, said = read_events(folder)
            known = agreed(seconds, records)
            self.said = {(step, text) for step, text in said if step <= known}
            self.writer = self._open(known + 1)
            self._catch_up(known, records, events, snapshots)
        except OSError as error:
            raise TigonError(f"{folder}: cannot be written ({error})") from error

    def __call__(self, record: Record) -> None:
        """Write a record of metrics.jsonl: its numbers, or the guard's message.

        A rollback hides the iterations that it takes back.
        """
        if "event" not in record:
            self._numbers(record)
            return
        if record["event"] == "rollback":
            self.writer.close()
            self.writer = self._open(record["iteration"] + 1)
        self._say(record)

    def images(self, iteration: int, pixels: np.ndarray) -> None:
        """Write images, uint8 (N, H, W, C), as one grid."""
        self.writer.add_images("images", pixels, iteration, dataformats="NHWC")

    def histograms(self, iteration: int, values: Mapping[str, Tensor]) -> None:
        """Write the distribution of each tensor."""
        for name, tensor in values.items():
            if tensor.numel():
                self.writer.add_histogram(name, tensor.detach().float().cpu(), iteration)

    def flush(self) -> None:
        """Flush everything to disk."""
        self.writer.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self.writer.close()

    def _open(self, first: int) -> Any:  # noqa: ANN401
        """Return a writer that hides step `first` and all later steps of existing events."""
        from torch.utils.tensorboard import SummaryWriter

        wait_for_turn(self.folder)
        return SummaryWriter(str(self.folder), purge_step=first)

    def _catch_up(
        self,
        known: int,
        records: Sequence[Record],
        events: Sequence[Record],
        snapshots: Iterable[tuple[int, np.ndarray]],
    ) -> None:
        """Write the events that are missing on disk."""
        reached = records[-1]["iteration"] if records else NOTHING
        for record in records:
            if record["iteration"] > known:
                self._numbers(record)
        for event in events:
            self._say(event)
        for step, pixels in snapshots:
            if known < step <= reached:
                self.images(step, pixels)
        self.flush()

    def _numbers(self, record: Record) -> None:
        """Write all numbers of a record as one event: fast, and never half of them."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        found = scalars(record)
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in found.items()]
        self.writer.file_writer.add_summary(Summary(value=values), record["iteration"])

    def _say(self, event: Record) -> None:
        """Write the guard's message, once."""
        step = event["iteration"]
        said = f"**{event['event']}** ({event['cause']}): {event['message']}"
        if (step, said) not in self.said:
            self.writer.add_text("guard", said, step)
            self.said.add((step, said))


def wait_for_turn(folder: Path) -> None:
    """Wait, at most a second, until a new event file's name sorts after existing ones.

    TensorBoard reads files in the order of their names, which begin with the second in which they
    were opened; two files of the same second could be read in the wrong order.

    Raises:
        TigonError: if there are files from the future
    """
    found = (re.search(r"tfevents\.(\d+)", path.name) for path in folder.glob("*tfevents*"))
    last = max((int(match[1]) for match in found if match), default=0)
    if last > time.time() + 1:
        raise TigonError(
            f"{folder}: holds events of the future: the clock was set back; delete this folder, "
            "and its scalars and images are written again from what the run keeps"
        )
    while int(time.time()) <= last:
        time.sleep(0.02)


def scalars(record: Record) -> dict[str, float]:
    """Return the numbers of a record by tag; elements of a list are name/1, name/2 and so on."""
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, list):
            found |= {f"{name}/{k}": float(number) for k, number in enumerate(value, 1)}
        elif name != "iteration":
            found[name] = float(value)
    return found


def read_events(folder: Path) -> tuple[dict[int, float], set[tuple[int, str]]]:
    """Return each iteration's `seconds` that TensorBoard shows, and the guard's texts by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder), {"scalars": 0, "tensors": 0}).Reload()
    tags = board.Tags()
    numbers = board.Scalars("seconds") if "seconds" in tags["scalars"] else []
    texts = board.Tensors("guard/text_summary") if "guard/text_summary" in tags["tensors"] else []
    said = {(event.step, event.tensor_proto.string_val[0].decode()) for event in texts}
    return {event.step: event.value for event in numbers}, said


def agreed(seconds: Mapping[int, float], records: Sequence[Record]) -> int:
    """Return the last iteration up to which the events agree with the records, or -1.

    The time at which an iteration ended distinguishes it from a repetition.
    """
    known = NOTHING
    for record in records:
        if seconds.get(record["iteration"]) != np.float32(record["seconds"]):
            break
        known = record["iteration"]
    return known
