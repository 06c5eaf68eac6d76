"""Code of an attacker, one line each, as a picture smuggles it into its decoder: all that must fail there.

PATH, FOLDER, EMPTY and LISTENING are a file, two folders and a Unix socket, NEW is a name that is free, PORT listens.
"""

FILES = {
    "read": "open(PATH).read()",
    "read as root's": "open('/etc/passwd').read()",
    "list": "os.listdir(FOLDER)",
    "read the parent's environment": "told = open(f'/proc/{os.getppid()}/environ').read()",
    "read the parent's memory": "open(f'/proc/{os.getppid()}/mem', 'rb').read(0)",
    "read a device": "open('/dev/zero', 'rb').read(1)",
}
CHANGES = {
    "write": "open(PATH, 'w').write('x')",
    "append": "os.open(PATH, os.O_WRONLY | os.O_APPEND)",
    "create": "open(NEW, 'x')",
    "create without a name": "os.open(FOLDER, os.O_TMPFILE | os.O_RDWR)",
    "truncate": "os.truncate(PATH, 0)",
    "empty by opening": "os.open(PATH, os.O_RDONLY | os.O_TRUNC)",
    "write by the older call": "called(libc.syscall(number('open'), PATH.encode(), os.O_WRONLY))",
    "create by the older call": "called(libc.syscall(number('open'), NEW.encode(), os.O_CREAT | os.O_RDONLY, 0o600))",
    "unlink": "os.unlink(PATH)",
    "rename": "os.rename(PATH, NEW)",
    "link": "os.link(PATH, NEW)",
    "symlink": "os.symlink(PATH, NEW)",
    "mkdir": "os.mkdir(NEW)",
    "mkfifo": "os.mkfifo(NEW)",
    "rmdir": "os.rmdir(EMPTY)",
    "chmod": "os.chmod(PATH, 0o777)",
    "chown": "os.chown(PATH, os.getuid(), os.getgid())",
    "utime": "os.utime(PATH, (0, 0))",
    "setxattr": "os.setxattr(PATH, 'user.x', b'x')",
    "chdir": "os.chdir('/')",
    "chroot": "os.chroot('/')",
    "mount": "called(libc.mount(b'none', FOLDER.encode(), b'tmpfs', 0, None))",
    "a memory file": "os.memfd_create('x')",
}
NETWORK = {
    "TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM).connect(('127.0.0.1', PORT))",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "IPv6": "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)",
    "a Unix socket": "socket.socket(socket.AF_UNIX).connect(LISTENING)",
    "an abstract socket": "socket.socket(socket.AF_UNIX).bind('\\0imgindex-test')",
    "a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a pair of sockets": "socket.socketpair()",
    "to send a descriptor": "socket.send_fds(socket.socket(fileno=os.dup(0)), [b'x'], [0])",
}
PROCESSES = {
    "fork": "os.fork() or os._exit(0)",
    "vfork": "called(libc.vfork()) or os._exit(0)",
    "a new program": "subprocess.run(['/bin/true'])",
    "to become another program": "os.execv('/bin/true', ['true'])",
    "to become a program in memory": "called(libc.syscall(number('execveat'), 0, b'', None, None, 0x1000))",
    "a signal to the parent": "os.kill(os.getppid(), 0)",
    "a signal to all": "os.kill(-1, 0)",
    "a signal by a descriptor": "os.pidfd_open(os.getppid())",
    "a signal to a thread of the parent's": "called(libc.tgkill(os.getppid(), os.getppid(), 0))",
    "a signal by a socket": "fcntl.fcntl(0, 8, os.getppid())",
    "to trace the parent": "called(libc.ptrace(16, os.getppid(), None, None))",
    "to be traced": "called(libc.ptrace(0, 0, None, None))",
    "the parent's memory": "called(libc.process_vm_readv(os.getppid(), None, 0, None, 0, 0))",
    "to write the parent's memory": "called(libc.process_vm_writev(os.getppid(), None, 0, None, 0, 0))",
    "limits of the parent": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
    "priorities": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 5)",
    "scheduling": "os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))",
    "a name of its own": "os.setsid()",
}
KERNEL = {
    "io_uring": "called(libc.syscall(number('io_uring_setup'), 1, None))",
    "bpf": "called(libc.syscall(number('bpf'), 0, None, 0))",
    "userfaultfd": "called(libc.syscall(number('userfaultfd'), 1))",
    "perf": "called(libc.syscall(number('perf_event_open'), None, 0, -1, -1, 0))",
    "keys": "called(libc.syscall(number('keyctl'), 0, -3, 1))",
    "namespaces": "called(libc.unshare(0x10000000))",
    "to enter namespaces": "called(libc.setns(0, 0))",
    "open_by_handle_at": "called(libc.open_by_handle_at(0, None, 0))",
    "shared memory": "called(libc.shmget(0, 4096, 0o1600))",
    "a message queue": "called(libc.msgget(0, 0o1600))",
    "personality": "called(libc.personality(0xFFFFFFFF))",
    "to be dumped": "called(libc.prctl(4, 1, 0, 0, 0))",
    "another filter": "called(libc.syscall(number('seccomp'), 1, 0, None))",
    "a system call by another number": "called(libc.syscall(0x40000000 + number('socket'), 2, 1, 0))",
    "code in memory": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "memory that no limit counts": "mmap.mmap(-1, 4096)",
    "a terminal": "fcntl.ioctl(0, 0x541B, b'1234')",
}
# Not the processor's time: its timer is the child's own. What holds such code up is the parent's clock, of 30 s.
LIMITS = {
    "more memory": "resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))",
    "core files": "resource.setrlimit(resource.RLIMIT_CORE, (1, 1))",
    "to be another user": "os.setuid(12345)",
}
