"""What is done beside learning: metrics, snapshots, checkpoints, TensorBoard; or your own.

    trainer = Trainer(learner, images, callbacks=[MetricsLog("metrics.jsonl"), Checkpoints("run")])

A callback of your own extends `Callback`, or is a function of the trainer and the record.
"""

from tigon.training.callbacks.board import Board
from tigon.training.callbacks.checkpoints import Checkpoints
from tigon.training.callbacks.metrics import MetricsLog
from tigon.training.callbacks.snapshots import Snapshots
from tigon.training.trainer import Callback

__all__ = ["Board", "Callback", "Checkpoints", "MetricsLog", "Snapshots"]
