"""
Engines on other machines. A machine that loses its power says nothing: the kernel is told to look after connections on
which nothing comes, so that whoever waits for an answer from there hears within seconds that there will be none.
"""

import asyncio
import socket

from typing_extensions import override

from foz.net.origin import Origin

IDLE, EVERY, MISSES = 2, 1, 2
"""Seconds without a word before the other machine is looked for, between two looks, and looks that may fail."""


class Distant(Origin):
    """An origin whose machine may vanish."""

    @override
    def _meet(self, transport: asyncio.Transport) -> None:
        ours = transport.get_extra_info("socket")
        if ours is None:
            return
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, figure in (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", EVERY), ("TCP_KEEPCNT", MISSES)):
            if hasattr(socket, option):
                ours.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), figure)
