# Runs in a guest: holds a function of the kernel with a BPF program, as security agents do, until it is killed.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: trampoline.py entry|exit BTF_NUMBER
# Prints "attached". The program does nothing: it returns 0.

import ctypes
import os
import struct
import sys
import time

SYS_BPF, PROG_LOAD, RAW_TRACEPOINT_OPEN = 321, 5, 17
TRACING = 26
ATTACH = {"entry": 24, "exit": 25}
RETURN_ZERO = bytes.fromhex("b7000000000000009500000000000000")


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    descriptor = libc.syscall(SYS_BPF, command, buffer, len(attributes))
    if descriptor < 0:
        sys.exit("bpf command %d: %s" % (command, os.strerror(ctypes.get_errno())))
    return descriptor


def main():
    code, license = ctypes.create_string_buffer(RETURN_ZERO), ctypes.create_string_buffer(b"GPL")
    # union bpf_attr of BPF_PROG_LOAD up to attach_btf_id
    program = struct.pack("<IIQQ", TRACING, 2, ctypes.addressof(code), ctypes.addressof(license)) + bytes(24)
    program += (
        struct.pack("<16sII", b"tap", 0, ATTACH[sys.argv[1]]) + bytes(36) + struct.pack("<II", int(sys.argv[2]), 0)
    )
    link = bpf(RAW_TRACEPOINT_OPEN, struct.pack("<QII", 0, bpf(PROG_LOAD, program), 0))
    print("attached", link, flush=True)
    time.sleep(3600)


main()
