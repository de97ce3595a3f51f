"""Exports in which something goes wrong in the middle."""

import ctypes
import time


def crash(request, link):
    link.phase(request["step"])
    ctypes.string_at(0)


def hang(request, link):
    link.phase(request["step"])
    time.sleep(60)
