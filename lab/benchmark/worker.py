"""A process that measures one thing each time it is asked, so that things that exclude each other can be measured in turns."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile


class Worker:
    """A Python module as a process: it gets a line and answers with one of JSON.

    Args:
        module: name of the module.
        *arguments: of its command line.
        environment: variables on top of those of this process.
    """

    def __init__(self, module, *arguments, environment=()):
        # TensorFlow has much to say when it starts; it is of interest only where the process fails.
        self._noise = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **dict(environment)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
        )

    def ask(self, line=""):
        """The answer to a line.

        Raises:
            RuntimeError: the process has ended; what it said goes to standard error.
        """
        # One that has ended already takes nothing; that it gives no answer says so.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self._noise.seek(0)
            sys.stderr.write(self._noise.read())
            raise RuntimeError(f"{' '.join(self.process.args)} ended with status {self.process.wait()}")
        return json.loads(answer)

    def call(self, what, *arguments):
        """The answer to a list of JSON: what to do, and with what; paths become texts."""
        return self.ask(json.dumps([what, *arguments], default=str))

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self._noise.close()
