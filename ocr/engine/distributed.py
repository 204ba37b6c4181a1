"""Several processes that train together, started by `python -m paddle.distributed.launch`."""

from __future__ import annotations

import os
from typing import Any


class Group:
    """The processes of a run; alone, all of this costs nothing.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("PADDLE_TRAINER_ID", "0"))
        self.size = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
        if self.size > 1:
            import paddle

            paddle.distributed.init_parallel_env()

    @property
    def first(self) -> bool:
        """Whether this process writes, evaluates and talks."""
        return self.rank == 0

    def average_gradients(self, model: Any) -> None:
        """Replace each gradient by its mean over the processes."""
        if self.size == 1:
            return
        import paddle

        trained = [parameter for parameter in model.parameters() if not parameter.stop_gradient]
        with paddle.no_grad():
            # One message for all: hundreds of small ones would cost more than their contents.
            parts = [
                (p.grad if p.grad is not None else paddle.zeros_like(p)).flatten().astype("float32") for p in trained
            ]
            joint = paddle.concat(parts)
            paddle.distributed.all_reduce(joint)
            joint = joint / self.size
            at = 0
            for parameter in trained:
                count = parameter.size
                piece = joint[at : at + count].reshape(parameter.shape).astype(parameter.dtype)
                if parameter.grad is None:
                    parameter.grad = piece
                else:
                    parameter.grad.set_value(piece)
                at += count

    def share(self, stop: list[str]) -> None:
        """Make every process stop when one does: each step's end must find them all alike."""
        if self.size == 1:
            return
        import paddle

        flag = paddle.to_tensor([float(bool(stop))])
        paddle.distributed.all_reduce(flag)
        if float(flag) and not stop:
            stop.append("another process stopped")

    def same_weights(self, model: Any) -> None:
        """Send the first process's weights and buffers to all."""
        if self.size == 1:
            return
        import paddle

        for value in model.state_dict().values():
            paddle.distributed.broadcast(value, 0)

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            import paddle

            paddle.distributed.barrier()
