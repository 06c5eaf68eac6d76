"""What shuts in the process that decodes: whatever a picture makes it do, it does to its own memory and its reply.

Two locks of Linux. Landlock, given no rule at all, opens no file by its name but those that have none outside: the
process's own memory files. seccomp lets through the system calls that decoding makes, and answers all others as a
kernel that never had them: every C library knows that answer, and falls back from a newer call to one of these. Each
is closed as far as the kernel goes, for good, and after everything is imported.
"""

import ctypes
import errno
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from seccompy import Filter

State = Literal["whole", "partial", "none"]

_CALLS = (
    # The first are the most frequent: the filter goes through them in this order.
    *("read", "newfstatat", "fstat", "close", "lseek", "ftruncate", "munmap", "recvfrom", "futex", "poll", "ppoll"),
    *("pread64", "write", "readv", "writev", "select", "pselect6", "brk", "mremap", "madvise"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getrusage"),
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "getrandom"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "exit", "exit_group"),
    *("set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "getcpu"),  # what threads need
)
_CLONE_THREAD = 0x10000
_MAP_SHARED, _MAP_ANONYMOUS, _PROT_EXEC = 1, 0x20, 4
_DUPLICATE, _FLAGS = 1030, 1  # F_DUPFD_CLOEXEC, as mmap does; F_GETFD
_TERMINAL = errno.ENOTTY  # what `ioctl` says of a file, asked before each is read

_PR_SET_DUMPABLE = 4
_CAPABILITIES = 0x20080522  # the version of the kernel's structures


@dataclass(frozen=True)
class Sandbox:
    """How far the process that decodes is shut in, on this machine."""

    files: bool  # it opens none
    calls: bool  # it makes no system calls but those that decoding needs

    @property
    def state(self) -> State:
        """In one word."""
        return "whole" if self.files and self.calls else "partial" if self.files or self.calls else "none"

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is open, and what that means, one sentence each; none where it is whole."""
        does = "read" if self.calls else "read and change"
        files = (
            f"A picture that takes over its decoder could {does} your files: here is no Landlock that it can work in."
        )
        calls = (
            "A picture that takes over its decoder could start programs, talk to the network and reach your other "
            "programs: here is no seccomp filter that it can work in."
        )
        return (() if self.files else (files,)) + (() if self.calls else (calls,))


def enter(*, calls: bool = True) -> Sandbox:
    """Shut in this process for good, as far as the kernel goes, and tell how far that is; `calls`: by both locks."""
    _give_up_rights()
    allowed = _calls() if calls else None
    files = _close_files()
    return Sandbox(files, allowed is not None and _close_calls(allowed))


def _give_up_rights() -> None:
    """Be no one that others may trace, and let go of what root may: raise limits, pass over permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):  # not Linux
        return
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.capset((ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)())


def _close_files() -> bool:
    try:
        from landlockpy import RestrictFlag, Ruleset, Scope

        with Ruleset(scoped=Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL) as ruleset:
            ruleset.restrict(RestrictFlag.TSYNC)
    except (ImportError, OSError):  # the package is Linux's only; OSError: no Landlock in this kernel, or not for us
        return False
    return True


def _calls() -> "Filter | None":
    """What this process may ask of the kernel; None where that cannot be limited."""
    try:
        import seccompy

        if not seccompy.supported():  # this also has it look for the C library, which takes files and a process
            return None
        calls = seccompy.Filter(seccompy.Action.ERRNO | errno.ENOSYS, flags=seccompy.FilterFlag.TSYNC)
        _allow(calls)
    except (ImportError, OSError):  # as above; also a processor that the package has no numbers for
        return None
    return calls


def _allow(calls: "Filter") -> None:
    from seccompy import ArgCmp, CmpOp

    def without(index: int, bits: int) -> ArgCmp:
        return ArgCmp(index, CmpOp.MASKED_EQ, 0, bits)

    for name in filter(_is_known, _CALLS):
        calls.allow(name)
    calls.allow("mprotect", args=[without(2, _PROT_EXEC)])
    # Memory of its own is limited, and so are files; what is neither is not.
    for bit in (_MAP_SHARED, _MAP_ANONYMOUS):
        calls.allow("mmap", args=[without(2, _PROT_EXEC), without(3, bit)])
    # Other bits say how to read, and each C library and processor has its own. O_TMPFILE is two bits, one a folder's.
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
    for name, flags in (("openat", 2), ("open", 1)):  # to read; glibc makes the first, musl the second where it is
        if _is_known(name):
            calls.allow(name, args=[without(flags, writing)])
    calls.allow("sendto", args={4: 0})  # to whom it is connected
    calls.errno("ioctl", _TERMINAL)
    for command in (_DUPLICATE, _FLAGS):
        calls.allow("fcntl", args={1: command})
    calls.allow("setitimer", args={0: signal.ITIMER_PROF})
    calls.allow("prlimit64", args={0: 0})  # its own
    calls.allow("tgkill", args={0: os.getpid()})  # abort() ends with a signal
    calls.allow("clone", args=[ArgCmp(0, CmpOp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD)])


def _close_calls(calls: "Filter") -> bool:
    try:
        calls.load()
    except OSError:
        return False
    return True


def _is_known(name: str) -> bool:
    """Whether this processor's kernel has such a call; newer ones lack the oldest."""
    from seccompy import syscall_nr

    try:
        syscall_nr(name)
    except ValueError:
        return False
    return True
