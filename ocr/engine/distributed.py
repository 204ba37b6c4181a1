"""Several processes that train together, started by `python -m paddle.distributed.launch`.

Gradients are averaged by Paddle's collectives. Those of gloo give up after 30 seconds, and a process that failed leaves
the others waiting in them; so before each the processes meet over connections of their own, which wait for as long as
the first one evaluates or saves, and end at once when a process ends, however it does.
"""

from __future__ import annotations

import hmac
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BufferedRWPair
from typing import Any

from augment.errors import ScriptoriumError

_TOKEN = 16


class LostProcess(ScriptoriumError):
    """Another process of the run has ended."""


class Group:
    """The processes of a run; alone, all of this costs nothing.

    A process that fails must `close` the group or end, and the others raise `LostProcess` where they next meet.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("PADDLE_TRAINER_ID", "0"))
        self.size = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
        self._sockets: list[socket.socket] = []
        self._links: list[BufferedRWPair] = []  # to the first process; of the first one: to all others, by rank
        if self.size > 1:
            import paddle

            paddle.distributed.init_parallel_env()
            self._sockets = self._connect()
            self._links = [connection.makefile("rwb") for connection in self._sockets]

    @property
    def first(self) -> bool:
        """Whether this process writes, evaluates and talks."""
        return self.rank == 0

    def meet(self, word: str = "") -> str:
        """Wait until all are here, for as long as that takes.

        Args:
            word: what this process has to say, in one line.

        Returns:
            What one of them says, the same for all; empty if none says anything.

        Raises:
            LostProcess: another process has ended.
        """
        words = [word]
        try:
            if self.first:
                words += [_hear(link) for link in self._links]
            else:
                _say(self._links[0], word)
                words = [_hear(self._links[0])]
            said = next(filter(None, words), "")
            if self.first:
                for link in self._links:
                    _say(link, said)
        except (OSError, ValueError) as error:
            self.close()
            raise LostProcess(f"another process of this run has ended; its own log says why ({error})") from None
        return said

    def average_gradients(self, model: Any) -> None:
        """Replace each gradient by its mean over the processes; call it after `meet`.

        A process in which a parameter had no part counts as zero; where it had none in any, there is no gradient.

        Raises:
            LostProcess: another process has ended.
        """
        if self.size == 1:
            return
        import paddle

        trained = [parameter for parameter in model.parameters() if not parameter.stop_gradient]
        with paddle.no_grad():
            # One message for all: hundreds of small ones would cost more than their contents.
            parts = [
                (p.grad if p.grad is not None else paddle.zeros_like(p)).flatten().astype("float32") for p in trained
            ]
            parts.append(paddle.to_tensor([float(p.grad is not None) for p in trained]))
            joint = paddle.concat(parts)
            self._together(partial(paddle.distributed.all_reduce, joint))
            present = joint[-len(trained) :].numpy()
            joint = joint / self.size
            at = 0
            for parameter, shares in zip(trained, present, strict=True):
                count = int(parameter.size)
                if shares:
                    piece = joint[at : at + count].reshape(parameter.shape).astype(parameter.dtype)
                    if parameter.grad is None:
                        parameter.grad = piece
                    else:
                        parameter.grad.set_value(piece)
                at += count

    def same_weights(self, model: Any) -> None:
        """Send the first process's weights and buffers to all. Raises as `meet`."""
        if self.size == 1:
            return
        import paddle

        self.meet()
        for value in model.state_dict().values():
            self._together(partial(paddle.distributed.broadcast, value, 0))

    def close(self) -> None:
        """Leave the group: whoever waits for this process stops waiting."""
        for connection in self._sockets:
            with suppress(OSError):  # the other side has gone already
                # Closing alone would not do where other processes have inherited the connection.
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _connect(self) -> list[socket.socket]:
        """Connections between the first process and each other one; the port goes round by a broadcast."""
        import paddle

        host = os.environ["PADDLE_TRAINER_ENDPOINTS"].split(",")[0].rpartition(":")[0]
        server = socket.create_server((host, 0), backlog=self.size) if self.first else None
        note = [server.getsockname()[1], *os.urandom(_TOKEN)] if server else [0] * (1 + _TOKEN)
        shared = paddle.to_tensor(note, dtype="int64")
        paddle.distributed.broadcast(shared, 0)
        port, *token = shared.tolist()
        if server is None:
            connection = socket.create_connection((host, port))
            connection.sendall(bytes(token) + self.rank.to_bytes(4, "big"))
            return [_kept_alive(connection)]
        found: dict[int, socket.socket] = {}
        with server:
            while len(found) < self.size - 1:
                connection, _ = server.accept()
                greeting = connection.recv(_TOKEN + 4, socket.MSG_WAITALL)
                if hmac.compare_digest(greeting[:_TOKEN], bytes(token)):
                    found[int.from_bytes(greeting[_TOKEN:], "big")] = _kept_alive(connection)
                else:  # whoever that is, it is none of ours
                    connection.close()
        return [found[rank] for rank in sorted(found)]

    def _together(self, collective: Callable[[], Any]) -> None:
        try:
            collective()
        except (RuntimeError, OSError) as error:
            self.close()
            line = str(error).strip().splitlines()[-1]
            raise LostProcess(f"the processes of this run lost contact ({line}); their logs say more") from error


def _kept_alive(connection: socket.socket) -> socket.socket:
    # A machine that loses its power does not say goodbye.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _say(link: BufferedRWPair, word: str) -> None:
    link.write(word.encode() + b"\n")
    link.flush()


def _hear(link: BufferedRWPair) -> str:
    line = link.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("the connection was closed")
    return line[:-1].decode()
