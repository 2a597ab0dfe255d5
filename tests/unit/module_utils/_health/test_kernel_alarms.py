# Which lines of the kernel's log are alarms, in the forms of four generations of kernels.
#
# Copyright: (c) 2026, kernel.livepatch contributors
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.kernel.livepatch.plugins.module_utils._health.kernel_alarms import ALARM_RECORDS, alarms
from ansible_collections.kernel.livepatch.plugins.module_utils._kernel.kernel_log import Record

CUT = "------------[ cut here ]------------"
END = "---[ end trace 0000000000000000 ]---"
TRACE = ["Modules linked in: klp_alarm(OEK) [last unloaded: plain]", "Call Trace:", " seq_read_iter+0x1/0x2", END]
RIP = "RIP: 0010:alarm_show+0x12b/0x1a8 [klp_alarm]"
USER_RIP = "RIP: 0033:0x7f0e5b0d51a0"

# lines, kind, signature
SAMPLES = {
    "a warning of 5.10 to 6.12": (
        [CUT, "WARNING: CPU: 0 PID: 123 at /build/klp_alarm.c:19 alarm_show+0x117/0x1a8 [klp_alarm]", RIP] + TRACE,
        "warning",
        "warning:alarm_show",
    ),
    "a warning of 7.2": (
        [CUT, "WARNING: klp_alarm.c:19 at alarm_show+0x118/0x1dd [klp_alarm], CPU#0: cat/148", RIP] + TRACE,
        "warning",
        "warning:alarm_show",
    ),
    "a warning with a message": (
        [
            CUT,
            "refcount_t: underflow; use-after-free.",
            "WARNING: CPU: 1 PID: 7 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110",
        ]
        + TRACE,
        "warning",
        "warning:refcount_warn_saturate",
    ),
    "a lockdep warning": (
        ["======", "WARNING: possible circular locking dependency detected", "6.1.0 #1 Not tainted"],
        "warning",
        "warning:WARNING: possible circular locking dependency detected",
    ),
    "a BUG of 5.10": (
        [
            CUT,
            "kernel BUG at /build/klp_alarm.c:20!",
            "invalid opcode: 0000 [#1] SMP PTI",
            "CPU: 0 PID: 9 Comm: cat",
            RIP,
        ]
        + TRACE,
        "bug",
        "bug:alarm_show",
    ),
    "a BUG of 6.12": (
        [CUT, "kernel BUG at klp_alarm.c:20!", "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI", RIP] + TRACE,
        "bug",
        "bug:alarm_show",
    ),
    "a bad access of 6.1": (
        [
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "#PF: supervisor write access in kernel mode",
            "PGD 0 P4D 0 ",
            "Oops: 0002 [#2] PREEMPT SMP PTI",
            "RIP: 0010:alarm_show.cold+0x12b/0x1a8 [klp_alarm]",
            USER_RIP,
            END,
        ],
        "oops",
        "oops:alarm_show",
    ),
    "a bad access of 7.2": (
        ["BUG: unable to handle page fault for address: ffffc90000abc000", "Oops: Oops: 0002 [#1] SMP NOPTI", RIP, END],
        "oops",
        "oops:alarm_show",
    ),
    "a general protection fault of 6.1": (
        [
            "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] PREEMPT SMP",
            RIP,
            END,
        ],
        "oops",
        "oops:alarm_show",
    ),
    "a general protection fault of 7.2": (
        [
            "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP",
            RIP,
            END,
        ],
        "oops",
        "oops:alarm_show",
    ),
    "an oops of arm64": (
        [
            "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000",
            "Internal error: Oops: 0000000096000004 [#1] SMP",
            "pc : alarm_show+0x20/0x40 [klp_alarm]",
            END,
        ],
        "oops",
        "oops:alarm_show",
    ),
    "a soft lockup": (
        ["watchdog: BUG: soft lockup - CPU#0 stuck for 5s! [cat:166]", "RIP: 0010:alarm_show+0x1/0x2", USER_RIP],
        "lockup",
        "lockup:alarm_show",
    ),
    "a hard lockup": (
        ["NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", RIP],
        "lockup",
        "lockup:alarm_show",
    ),
    "an RCU stall of 5.10": (
        ["rcu: INFO: rcu_sched self-detected stall on CPU", "rcu: \t0-....: (2099 ticks this GP)", RIP],
        "rcu_stall",
        "rcu_stall:alarm_show",
    ),
    "an RCU stall of others": (
        ["rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu: \t0-....: (2099 ticks this GP)"],
        "rcu_stall",
        "rcu_stall:rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    ),
    "a hung task": (
        [
            "INFO: task cat:111 blocked for more than 120 seconds.",
            "      Tainted: G           OE K   5.10.0",
            "Call Trace:",
        ],
        "hung_task",
        "hung_task:INFO: task cat:N blocked for more than N seconds.",
    ),
    "a use after free": (
        ["BUG: KASAN: use-after-free in alarm_show+0x20/0x40", "Read of size 8 at addr ffff888012345678 by task cat/1"],
        "bug",
        "bug:alarm_show",
    ),
    "a sleeping function in atomic context": (
        ["BUG: sleeping function called from invalid context at mm/slab.h:205", "in_atomic(): 1, irqs_disabled(): 0"],
        "bug",
        "bug:BUG: sleeping function called from invalid context at mm/slab.h:N",
    ),
    "a hung task that waits for a disk": (
        ["INFO: task dd:1 blocked in I/O wait for more than 122 seconds.", "      Not tainted 7.2.13"],
        "hung_task",
        "hung_task:INFO: task dd:N blocked in I/O wait for more than N seconds.",
    ),
    "a warning of s390x": (
        [
            CUT,
            "WARNING: provoke.c:79 at lab_alarm+0xa0/0x648 [provoke], CPU#1: provoke/115",
            "Krnl PSW : 0704c00180000000 000003ff7e39c54c (lab_alarm+0xa4/0x648 [provoke])",
            END,
        ],
        "warning",
        "warning:lab_alarm",
    ),
    "a BUG of s390x": (
        [
            "kernel BUG at provoke.c:81!",
            "monitor event: 0040 ilc:2 [#1]SMP ",
            "Krnl PSW : 0704e00180000000 000003ff7e39c5e4 (lab_alarm+0x13c/0x648 [provoke])",
            END,
        ],
        "bug",
        "bug:lab_alarm",
    ),
    "a bad access of s390x": (
        [
            "Unable to handle kernel pointer dereference in virtual kernel address space",
            "Failing address: 0000000000000000 TEID: 0000000000000483 ESOP-2 FSI",
            "Fault in home space mode while using kernel ASCE.",
            "Oops: 0004 ilc:3 [#2]SMP ",
            "Krnl PSW : 0704c00180000000 000003ff7e39c5c8 (lab_alarm+0x120/0x648 [provoke])",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "an illegal operation of s390x": (
        [
            "illegal operation: 0001 ilc:1 [#4]SMP ",
            "Krnl PSW : 0704d00180000000 000003ff7e39c2e0 (lab_illegal+0x8/0x10 [provoke])",
            END,
        ],
        "oops",
        "oops:lab_illegal",
    ),
    "a BUG of riscv64": (
        ["kernel BUG at provoke.c:81!", "Kernel BUG [#1]", "epc : lab_alarm+0x2d0/0x718 [provoke]", " ra : other+0x1/0x2", END],
        "bug",
        "bug:lab_alarm",
    ),
    "an illegal instruction of riscv64": (
        ["Oops - illegal instruction [#2]", "epc : lab_illegal+0x8/0x10 [provoke]", END],
        "oops",
        "oops:lab_illegal",
    ),
    "a BUG of arm64": (
        [
            "kernel BUG at provoke.c:81!",
            "Internal error: Oops - BUG: 00000000f2000800 [#1]  SMP",
            "pc : lab_alarm+0x29c/0x798 [provoke]",
            "lr : lab_alarm+0x8c/0x798 [provoke]",
            END,
        ],
        "bug",
        "bug:lab_alarm",
    ),
    "an undefined instruction of arm64": (
        ["Internal error: Oops - Undefined instruction: 0000000002000000 [#4]  SMP", "pc : lab_illegal+0x8/0x18 [provoke]", END],
        "oops",
        "oops:lab_illegal",
    ),
    "a BUG of ppc64le": (
        [
            "kernel BUG at provoke.c:81!",
            "Oops: Exception in kernel mode, sig: 5 [#1]",
            "NIP [c00800000028f634] lab_alarm+0x39c/0xfb0 [provoke]",
            END,
        ],
        "bug",
        "bug:lab_alarm",
    ),
    "a bad access of ppc64le": (
        [
            "BUG: Kernel NULL pointer dereference on write at 0x00000000",
            "Faulting instruction address: 0xc00800000028f62c",
            "Oops: Kernel access of bad area, sig: 11 [#2]",
            "NIP [c00800000028f62c] lab_alarm+0x394/0xfb0 [provoke]",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "another bad access of ppc64le": (
        [
            "BUG: Unable to handle kernel data access at 0xdead000000000100",
            "Oops: Kernel access of bad area, sig: 11 [#3]",
            "NIP [c00800000028f670] lab_alarm+0x3d8/0xfb0 [provoke]",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "a hard lockup of ppc64le that its own processor sees": (
        ["watchdog: CPU 1 self-detected hard LOCKUP @ alarm_show+0x1/0x2"],
        "lockup",
        "lockup:alarm_show",
    ),
    "a hard lockup of ppc64le that another processor sees": (
        ["watchdog: CPU 0 detected hard LOCKUP on other CPUs 1"],
        "lockup",
        "lockup:watchdog: CPU N detected hard LOCKUP on other CPUs N",
    ),
    "a bad access of loongarch64": (
        [
            "CPU 1 Unable to handle kernel paging request at virtual address ffff800000008064, era == 9000000000eb8228, ra == 9000000000eb8210",
            "Oops[#1]:",
            "pc 9000000000eb8228 ra 9000000000eb8210 tp 90000000062e0000 sp 90000000062a3ce0",
            "  ERA: 9000000000eb8228 i8042_flush+0x58/0x160",
            END,
        ],
        "oops",
        "oops:i8042_flush",
    ),
    "a warning of loongarch64": (
        [
            CUT,
            "WARNING: provoke.c:79 at lab_alarm+0x2a8/0x800 [provoke], CPU#1: provoke/109",
            "   ra: ffff80000220c2bc lab_alarm+0xbc/0x800 [provoke]",
            "  ERA: ffff80000220c4a8 lab_alarm+0x2a8/0x800 [provoke]",
            END,
        ],
        "warning",
        "warning:lab_alarm",
    ),
    "a BUG of loongarch64": (
        [
            "kernel BUG at provoke.c:81!",
            "Oops - BUG[#1]:",
            "   ra: ffff80000220c2bc caller+0xbc/0x800 [provoke]",
            "  ERA: ffff80000220c540 lab_alarm+0x340/0x800 [provoke]",
            END,
        ],
        "bug",
        "bug:lab_alarm",
    ),
    "an address error of loongarch64": (
        [
            "Kernel ade access[#3]:",
            "   ra: ffff80000220c2bc caller+0xbc/0x800 [provoke]",
            "  ERA: ffff80000220c590 lab_alarm+0x390/0x800 [provoke]",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "a reserved instruction of loongarch64": (
        ["Reserved instruction in kernel code[#4]:", "  ERA: ffff80000220c008 lab_illegal+0x8/0x10 [provoke]", END],
        "oops",
        "oops:lab_illegal",
    ),
    "a jump to nowhere of loongarch64": (
        [
            "CPU 1 Unable to handle kernel paging request at virtual address 0000000000000000, era == 0000000000000000, ra == ffff80000220c5d8",
            "Oops[#5]:",
            "   ra: ffff80000220c5d8 lab_alarm+0x3d8/0x800 [provoke]",
            "  ERA: 0000000000000000 0x0",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "a jump to nowhere of ppc64le": (
        [
            "BUG: Unable to handle kernel instruction fetch (NULL pointer?)",
            "Faulting instruction address: 0x00000000",
            "Oops: Kernel access of bad area, sig: 7 [#5]",
            "NIP [0000000000000000] 0x0",
            "LR [c00800000028f6c4] lab_alarm+0x42c/0xfb0 [provoke]",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "a jump to nowhere of arm64": (
        [
            "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000",
            "Internal error: Oops: 0000000086000004 [#5]  SMP",
            "pc : 0x0",
            "lr : lab_alarm+0x364/0x798 [provoke]",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "a bad access of riscv64": (
        [
            "Unable to handle kernel paging request at virtual address dead000000000100",
            "Oops [#1]",
            "epc : lab_alarm+0x2ec/0x718 [provoke]",
            " ra : caller+0x8c/0x718 [provoke]",
            END,
        ],
        "oops",
        "oops:lab_alarm",
    ),
    "a soft lockup of riscv64": (
        [
            "watchdog: BUG: soft lockup - CPU#1 stuck for 10s! [provoke:109]",
            "epc : lab_spin+0x3c/0x60 [provoke]",
            " ra : lab_spin+0x44/0x60 [provoke]",
        ],
        "lockup",
        "lockup:lab_spin",
    ),
    "a hard lockup that another processor sees": (
        ["watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1"],
        "lockup",
        "lockup:watchdog: CPUN: Watchdog detected hard LOCKUP on cpu N",
    ),
    "a hard lockup of ppc64le on its own processor": (
        ["watchdog: CPU 1 Hard LOCKUP", "NIP [c00800000028f62c] lab_alarm+0x394/0xfb0 [provoke]"],
        "lockup",
        "lockup:lab_alarm",
    ),
    "a module that a livepatch keeps out": (
        ["livepatch: patch 'hotfix3' failed for module 'nfsd', refusing to load module 'nfsd'", RIP],
        "module_refused",
        "module_refused:hotfix3:nfsd",
    ),
    "a panic": (
        ["Kernel panic - not syncing: Fatal exception"],
        "crash",
        "crash:Kernel panic - not syncing: Fatal exception",
    ),
}

# Harmless lines that look like alarms at first sight.
HARMLESS = [
    "livepatch: 'hotfix1': patching complete",
    "hotfix1: loading out-of-tree module taints kernel.",
    "hotfix1: tainting kernel with TAINT_LIVEPATCH",
    "WARNING: The mand mount option has been deprecated and is ignored by this kernel.",
    "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "rcu: INFO: something else",
    "WARNING: can't access registers at alarm_show+0x1/0x2",
    "WARNING: kernel stack frame pointer at 00000000e2e2 in cat:1 has bad value 0000000000000001",
    "WARNING: stack recursion on stack type 4",
    "WARNING: unrecognized unwind stack type at alarm_show+0x1/0x2",
    "note: provoke[119] exited with irqs disabled",
    "INFO: lockdep is turned off.",
    "printk: console [ttyS0] enabled",
    CUT,
    END,
    RIP,
    "systemd[1]: BUG: kernel NULL pointer dereference",
    "Debug: something at func+0x1/0x2",
    "",
]


def records(lines, start=100, kernel=True, seconds=10.0):
    return [Record(start + number, seconds, 4, kernel, line) for number, line in enumerate(lines)]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_alarm_is_one_event_with_kind_and_signature(name):
    lines, kind, signature = SAMPLES[name]
    found = alarms(records(["usb 1-1: new device"] + lines + ["usb 1-1: gone"]))
    assert [(alarm.kind, alarm.signature) for alarm in found] == [(kind, signature)]


@pytest.mark.parametrize("line", HARMLESS)
def test_a_harmless_line_is_no_alarm(line):
    assert alarms(records([line])) == []


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_same_alarm_has_the_same_signature_on_another_cpu_address_and_task(name):
    lines, dummy, signature = SAMPLES[name]
    changes = (
        ("CPU: 0", "CPU: 13"),
        ("CPU#0", "CPU#7"),
        ("PID: 123", "PID: 99999"),
        ("cat/148", "cat/3"),
        (":111 ", ":7 "),
        ("+0x117/", "+0xfff/"),
        ("+0x12b/", "+0x1/"),
        ("cat:166", "cat:1"),
        ("120 seconds", "241 seconds"),
    )
    for before, after in changes:
        lines = [line.replace(before, after) for line in lines]
    assert [alarm.signature for alarm in alarms(records(lines))] == [signature]


def test_the_event_tells_the_first_line_its_number_and_its_time():
    lines = SAMPLES["a warning of 7.2"][0]
    alarm = alarms(records(lines, start=40, seconds=12.5))[0]
    assert (alarm.sequence, alarm.seconds, alarm.text) == (41, 12.5, lines[1])


def test_the_text_is_bounded():
    line = "WARNING: CPU: 0 PID: 1 at %s.c:1 f+0x1/0x2" % ("x" * 5000)
    assert len(alarms(records([line]))[0].text) == 200


def test_two_alarms_after_one_another_are_two_events():
    lines = SAMPLES["a warning of 7.2"][0]
    assert len(alarms(records(lines + lines))) == 2


def test_a_warning_and_an_oops_are_told_apart():
    lines = SAMPLES["a warning of 5.10 to 6.12"][0] + SAMPLES["a bad access of 6.1"][0]
    assert [alarm.kind for alarm in alarms(records(lines))] == ["warning", "oops"]


def test_an_alarm_whose_end_was_lost_does_not_swallow_the_next_one():
    lines = SAMPLES["a warning of 7.2"][0][:2] + SAMPLES["a bad access of 7.2"][0]
    assert [alarm.kind for alarm in alarms(records(lines))] == ["warning", "oops"]


def test_an_oops_long_after_a_bug_is_an_alarm_of_its_own():
    first = records(["kernel BUG at a.c:1!"], seconds=10.0)
    later = records(["Oops: Oops: 0002 [#2] SMP", RIP], start=200, seconds=60.0)
    assert [alarm.kind for alarm in alarms(first + later)] == ["bug", "oops"]
    many = records(["kernel BUG at a.c:1!"] + ["x"] * ALARM_RECORDS + ["Oops: Oops: 0002 [#2] SMP"])
    assert [alarm.kind for alarm in alarms(many)] == ["bug", "oops"]


def test_what_programs_write_into_the_kernels_log_is_no_alarm():
    for name in sorted(SAMPLES):
        assert alarms(records(SAMPLES[name][0], kernel=False)) == []


def test_a_programs_lines_in_the_middle_do_not_split_an_alarm():
    lines = records(SAMPLES["a bad access of 7.2"][0])
    lines[1:1] = records(["WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2"], kernel=False)
    assert [alarm.kind for alarm in alarms(lines)] == ["oops"]


def test_an_alarm_in_one_record_of_several_lines_is_found():
    assert [alarm.kind for alarm in alarms([Record(1, 1.0, 4, True, "\n".join(SAMPLES["a warning of 7.2"][0]))])] == [
        "warning"
    ]
