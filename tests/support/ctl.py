# SPDX-License-Identifier: Apache-2.0
"""What the tests of stencilctl share: the tool, a terminal for it, a real VM and a scripted one."""
import json
import os
import pty
import select
import socket
import subprocess
import termios
import threading
import time

LIMIT = 60
QUIET = {"NO_COLOR": "", "TERM": "xterm", "LC_ALL": "C.UTF-8"}


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what


def environment(extra=None):
    env = {key: value for key, value in os.environ.items() if key != "STENCIL_SOCKET"}
    return {**env, **QUIET, **(extra or {})}


class Vm:
    """A real stencil whose vCPUs never run."""

    def __init__(self, stencil, folder):
        self.socket, self.console = folder / "qmp.sock", folder / "console.sock"
        self.qtest, self.disk = folder / "qtest.sock", folder / "disk"
        self.disk.write_bytes(bytes(1 << 20))
        self.process = subprocess.Popen(
            [stencil, "-machine", "microvm", "-accel", "qtest", "-S", "-name", "sample",
             "-qmp", f"unix:{self.socket},server,nowait",
             "-qtest", f"unix:{self.qtest},server,nowait",
             "-serial", f"unix:{self.console},server,nowait",
             "-object", "iothread,id=io1",
             "-drive", f"file={self.disk},id=root,if=none,format=raw,readonly=on",
             "-device", "virtio-blk-device,drive=root,id=disk0"], stdin=subprocess.DEVNULL)
        wait_until(lambda: self.socket.exists() or self.process.poll() is not None, "no socket")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class FakeVm:
    """Answers each command from a table: a value, a function that makes it, or an unknown command."""

    def __init__(self, folder, answers, greeting=None):
        self.socket = folder / "fake.sock"
        self.socket.unlink(missing_ok=True)
        self.answers = answers
        self.greeting = greeting
        self.seen = []
        self.answered = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.socket))
        self.listener.listen()
        self.clients = []
        self.server = threading.Thread(target=self.serve, daemon=True)
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the server
        self.server.join()
        self.listener.close()
        for client in self.clients:
            client.close()

    def serve(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self.talk, args=[client], daemon=True).start()

    def hang_up(self):
        for client in self.clients:
            client.shutdown(socket.SHUT_RDWR)

    def talk(self, client):
        greeting = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0},
                                        "package": "fake"}, "capabilities": []}}
        try:
            client.sendall((json.dumps(greeting) + "\n").encode() if self.greeting is None
                           else self.greeting)
            for line in client.makefile("rb"):
                command = json.loads(line)
                self.seen.append(command)
                client.sendall((json.dumps(self.answer(command)) + "\n").encode())
                self.answered.append(command["execute"])
        except OSError:
            pass

    def answer(self, command):
        name = command["execute"]
        if name == "qmp_capabilities":
            return {"return": {}}
        if name not in self.answers:
            return {"error": {"class": "CommandNotFound", "desc": f"no command {name}"}}
        answer = self.answers[name]
        return {"return": answer(command) if callable(answer) else answer}


class Tool:
    def __init__(self, program):
        self.program = program

    def command(self, vm, *words):
        return [self.program, *(["-s", str(vm.socket)] if vm else []), *map(str, words)]

    def __call__(self, vm, *words, status=0, env=None, text=None):
        """What it printed; on standard error if it is to fail."""
        done = subprocess.run(self.command(vm, *words), text=True, input=text or "",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT,
                              env=environment(env), check=False)
        assert done.returncode == status, (words, done)
        return (done.stdout if status == 0 else done.stderr).strip()

    def start(self, vm, *words):
        return subprocess.Popen(self.command(vm, *words), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, env=environment())

    def pump(self, vm, process):
        """Causes events until the process has shown one."""
        deadline = time.monotonic() + LIMIT
        while not select.select([process.stdout], [], [], 0)[0]:
            assert time.monotonic() < deadline, "no event was shown"
            self(vm, "cont")
            self(vm, "stop")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment(env))
        self.text = ""
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.close(self.fd)
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self):
        """False at the end."""
        assert select.select([self.fd], [], [], LIMIT)[0], f"nothing more than {self.text!r}"
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, wanted):
        """Reads until the text is there, takes everything up to its end, and returns that."""
        while wanted not in self.text:
            assert self.read(), f"ended without {wanted!r}: {self.text!r}"
        at = self.text.index(wanted) + len(wanted)
        taken, self.text = self.text[:at], self.text[at:]
        return taken

    def expect_prompt(self, wanted):
        """The prompt comes just before the terminal is made raw; keys such as Ctrl-C must wait."""
        taken = self.expect(wanted)
        wait_until(lambda: not termios.tcgetattr(self.fd)[3] & termios.ICANON, "not made raw")
        return taken

    def rest(self, status=0):
        """Reads to the end, where the program ends with the status."""
        while self.read():
            pass
        os.close(self.fd)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert self.status == status, (self.status, self.text)
        return self.text
