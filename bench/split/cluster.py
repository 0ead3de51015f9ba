"""Parlance in pieces: two gateways, one or two message services, and all other services in one process, over PostgreSQL and Redis
(tests/services/run.mjs starts these, and says where they are)."""
import os
import subprocess

from frame import BenchError, Parlance, Server, free_port
from frame.parlance import BUILD

SHARDS = 8
OTHERS = ["user", "auth", "media", "meeting", "signaling", "file", "presence", "task"]
COMMON = {"tls.enabled": "false", "http.rate_limits": "false", "log.level": "warn", "auth.password_passes": 1,
          "auth.password_memory_bytes": 65536}


def database(name):
    """The address of an empty database."""
    url = os.environ["PARLANCE_TEST_POSTGRES_URL"]
    made = subprocess.run(["psql", url, "-qc", f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}"],
                          capture_output=True, text=True, check=False)
    if made.returncode:
        raise BenchError(made.stderr)
    return f"{url}?options=-csearch_path%3D{name}"


def environment(options):
    return {"PARLANCE_" + key.upper().replace(".", "_"): str(value) for key, value in options.items()}


def whole(directory, name):
    """One process over PostgreSQL; without a name the embedded store."""
    options = dict(COMMON)
    if name:
        options.update({"store.driver": "postgres", "store.url": database(name)})
    return Parlance(directory, options)


class Part(Server):
    def __init__(self, directory, name, services, options, port):
        place = os.path.join(directory, name)
        os.mkdir(place)
        env = environment({**options, "data_dir": os.path.join(place, "data")})
        super().__init__(name, [os.path.join(BUILD, "src/parlance"), "serve", "--services=" + ",".join(services)], place, port,
                         env={**env, "CLUSTER_SECRET": "a secret of the benchmark, long enough", "JWT_SECRET": "j" * 40})


class Split:
    """Looks like one server: http_port (of both gateways, by a comma), request, register, cpu_ns."""

    name = "split"
    request, register = Parlance.request, Parlance.register

    def __init__(self, directory, name, message_count):
        self.parts = []
        self.ports = {service: free_port() for service in OTHERS}
        self.message_ports = [free_port() for _ in range(message_count)]
        redis = os.environ["PARLANCE_TEST_REDIS_URL"]
        self.options = {**COMMON, "store.driver": "postgres", "store.url": database(name), "messages.shards": SHARDS,
                        "event_bus.type": "redis", "event_bus.url": redis, "event_bus.prefix": name + ".",
                        "cache.type": "redis", "cache.url": redis, "cache.prefix": name + ".", "grpc.host": "127.0.0.1",
                        "blob.dir": os.path.join(directory, "blobs"), "media.port": free_port()}
        try:
            self._start(directory)
        except BenchError:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{self.gateways[0]}"

    def _part(self, directory, name, services, port, more=None):
        remote = [f"{service}=127.0.0.1:{at}" for service, at in self.ports.items() if service not in services]
        remote += [f"message=127.0.0.1:{at}" for at in self.message_ports if at != port]
        options = {**self.options, **{f"grpc.ports.{service}": at for service, at in self.ports.items()},
                   **{f"http.ports.{service}": free_port() for service in ["user", "signaling", "meeting", "media"]},
                   "http.port": free_port(), "services.remote": ",".join(remote), **(more or {})}
        self.parts.append(Part(directory, name, services, options, options["http.port"] if "gateway" in services else port))
        return options["http.port"]

    def _start(self, directory):
        self._part(directory, "others", OTHERS, self.ports["user"])
        for i, port in enumerate(self.message_ports):
            self._part(directory, f"message-{i}", ["message"], port, {"grpc.ports.message": port})
        self.gateways = [self._part(directory, f"gateway-{i}", ["gateway"], None) for i in range(2)]
        self.http_port = ",".join(str(port) for port in self.gateways)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        died = [part for part in self.parts if part.process.poll() is not None]
        tail = "".join(part.log_tail() for part in died)
        self.stop()
        if died and kind is None:
            raise BenchError(f"{', '.join(part.name for part in died)} died under the load\n{tail}")

    def cpu_ns(self):
        return sum(part.cpu_ns() for part in self.parts)

    def stop(self):
        for part in reversed(self.parts):
            part.stop()
