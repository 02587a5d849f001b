"""Keeps memory that a training frees in one step and takes again in the next in glibc, instead of returning it to the
kernel.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # mallopt(3)


def keep_memory() -> None:
    """Tell glibc not to return freed memory, and not to map large blocks one by one; nothing where there is none."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(M_MMAP_MAX, 0)
