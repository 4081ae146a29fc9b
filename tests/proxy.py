"""A wire between a process and a server that a test can cut."""

import socket
import threading
from contextlib import suppress


class Proxy:
    def __init__(self, host, port):
        self.target = (host, int(port))
        self.sockets = []
        self.listener = None
        self.port = 0
        self.mend()

    def mend(self):
        """Let connections through, at the same port as before."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self.listener], daemon=True).start()

    def cut(self):
        """Refuse new connections and break those that are open."""
        self._hang_up(self.listener, *self.sockets)
        self.sockets.clear()

    def _accept(self, listener):
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self.target)
                self.sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=[source, sink], daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        Proxy._hang_up(source, sink)

    @staticmethod
    def _hang_up(*sockets):
        for each in sockets:
            # Closed alone, a socket stays open as long as another thread reads from it.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
