"""A process that measures one thing each time it is asked, so that things that exclude each other can be measured in turns."""

import json
import os
import subprocess
import sys


class Worker:
    """A Python module as a process: it gets a line and answers with one of JSON.

    Args:
        module: name of the module.
        *arguments: of its command line.
        environment: variables on top of those of this process.
    """

    def __init__(self, module, *arguments, environment=()):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **dict(environment)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, line=""):
        """The answer to a line.

        Raises:
            RuntimeError: the process has ended.
        """
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(self.process.args)} ended with status {self.process.wait()}")
        return json.loads(answer)

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
