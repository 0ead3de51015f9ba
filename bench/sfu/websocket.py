"""A WebSocket client (RFC 6455) with as much as signaling needs: text frames, no extensions, blocking."""
import base64
import json
import os
import socket
import struct

from frame import BenchError

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10


class WebSocket:
    def __init__(self, port, path, headers):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                             + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode())
        self.bytes = b""
        self.offers = []  # passed over while another frame was waited for
        while b"\r\n\r\n" not in self.bytes:
            self._more()
        head, _, self.bytes = self.bytes.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise BenchError(f"{path}: {head.decode(errors='replace')}")

    def _more(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise BenchError("the signaling socket was closed")
        self.bytes += chunk

    def _take(self, count):
        while len(self.bytes) < count:
            self._more()
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def _send(self, opcode, payload):
        n = len(payload)
        size = bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0xfe, n) if n < 65536 else struct.pack(">BQ", 0xff, n)
        self.socket.sendall(bytes([0x80 | opcode]) + size + bytes(4) + payload)  # a mask of zeros is a mask

    def send(self, frame):
        self._send(TEXT, json.dumps(frame).encode())

    def receive(self):
        """The next message of the server, decoded."""
        text = b""
        while True:
            first, second = self._take(2)
            n = second & 127
            if n > 125:
                n = int.from_bytes(self._take(2 if n == 126 else 8), "big")
            payload = self._take(n)
            if first & 15 in (CONTINUATION, TEXT):
                text += payload
                if first & 128:
                    return json.loads(text)
            elif first & 15 == PING:
                self._send(PONG, payload)
            elif first & 15 == CLOSE:
                raise BenchError(f"the signaling socket was closed: {payload[2:].decode(errors='replace')}")

    def receive_type(self, kind):
        """The next frame of that type; others are passed over (offers kept), errors are raised."""
        if kind == "offer" and self.offers:
            return self.offers.pop(0)
        while (frame := self.receive())["type"] != kind:
            if frame["type"] == "error":
                raise BenchError(f"signaling: {frame}")
            if frame["type"] == "offer":
                self.offers.append(frame)
        return frame

    def drain(self):
        """Throws away what has come meanwhile, so that the server has no slow reader."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(20)
        self.bytes = b""

    def close(self):
        self.socket.close()
