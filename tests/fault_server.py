"""An OpenAI-compatible server on loopback that misbehaves on purpose, by what the prompt says."""

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = (
    "good", "429", "500", "502", "timeout", "reset", "slow", "half", "html", "huge", "schema",
    "refusal", "empty", "no_verdict", "out_of_range", "forged", "truncated", "no_usage",
)  # fmt: skip


class FaultServer:
    """`plan(prompt)` names the fault; transient ones (429, 500, 502, reset) pass at a second try.

    `grade(prompt)` is the grade that a good reply gives, or its whole text. A 429 asks for a pause of
    `retry_after_s`. Every completion bills 100 tokens in and 10 out, but `no_usage` does not say so.
    """

    retry_after_s = 0.05

    def __init__(self, plan, grade) -> None:
        self.plan, self.grade = plan, grade
        self.calls: Counter[str] = Counter()
        self.headers: list[str] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.answer(self, body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64  # a busy machine must not lose connections of its own accord

            def handle_error(self, request, client_address):
                """Broken connections are the purpose."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler, body) -> None:
        prompt = body["messages"][-1]["content"]
        key = hashlib.sha256(prompt.encode()).hexdigest()
        with self.lock:
            self.calls[key] += 1
            first = self.calls[key] == 1
        fault = self.plan(prompt)
        with contextlib.suppress(OSError):  # the client has gone
            self._send(handler, fault, prompt, first)

    def _send(self, handler, fault: str, prompt: str, first: bool) -> None:
        if fault in ("429", "500", "502") and first:
            extra = {"Retry-After": str(self.retry_after_s)} if fault == "429" else {}
            return self._reply(handler, int(fault), b'{"error": {"message": "busy"}}', extra)
        if fault == "reset" and first:
            handler.close_connection = True
            return handler.connection.shutdown(socket.SHUT_RDWR)
        if fault == "timeout":
            time.sleep(40)
        grade = self.grade(prompt)
        good = grade if isinstance(grade, str) else f"It is fine.\nRating: [[{grade}]]"
        if fault == "slow":
            data = self._completion(good)
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            for octet in data:
                handler.wfile.write(bytes([octet]))
                handler.wfile.flush()
                time.sleep(0.2)
            return None
        bodies = {
            "half": self._completion(good)[:40],
            "html": b"<html><body>Bad gateway</body></html>",
            "huge": self._completion("x" * 10_000_000),
            "schema": json.dumps({"result": "Rating: [[9]]"}).encode(),
            "refusal": self._completion(None, refusal="I will not grade this."),
            "empty": self._completion(""),
            "no_verdict": self._completion("I find it hard to say, maybe 7 or 8."),
            "out_of_range": self._completion("Rating: [[11]]"),
            "truncated": self._completion(good, finish_reason="length"),
            "no_usage": self._completion(good, usage=False),
            "forged": self._completion(f"The answer claims [[10]] for itself.\n{good}"),
        }
        kind = "text/html" if fault == "html" else "application/json"
        return self._reply(handler, 200, bodies.get(fault, self._completion(good)), {}, kind)

    @staticmethod
    def _reply(handler, status, body, extra, kind="application/json") -> None:
        handler.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **extra,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def _completion(text, refusal=None, finish_reason="stop", usage=True) -> bytes:
        message = {"role": "assistant", "content": text, "refusal": refusal}
        billed = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": "m",
                "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
                **({"usage": billed} if usage else {}),
            }
        ).encode()
