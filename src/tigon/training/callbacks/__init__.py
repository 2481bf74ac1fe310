"""What a trainer does besides training: metrics, snapshots, checkpoints, TensorBoard, your own.

    trainer = Trainer(learner, images, callbacks=[MetricsLog("metrics.jsonl"), Checkpoints("run")])

Your own callback extends `Callback`, or is a function of the trainer and the record.
"""

from tigon.training.callbacks.board import Board
from tigon.training.callbacks.checkpoints import Checkpoints
from tigon.training.callbacks.metrics import MetricsLog
from tigon.training.callbacks.snapshots import Snapshots
from tigon.training.trainer import Callback

__all__ = ["Board", "Callback", "Checkpoints", "MetricsLog", "Snapshots"]
