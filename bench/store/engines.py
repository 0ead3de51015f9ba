"""The database servers under bench-store: Debian's, as they come, on a free port of the loopback, with a directory of their own."""
import glob
import os
import pwd
import shutil
import subprocess

from frame import BenchError, Server, free_port

PASSWORD = "bench"


def user_of(*names):
    """Whom to run as: neither server runs as root. None: we are not root."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise BenchError(f"there is no user {names[0]}")


def program(name):
    found = shutil.which(name, path=os.pathsep.join(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
                                                    + ["/usr/sbin", "/usr/bin"]))
    if not found:
        raise BenchError(f"there is no {name} (tools/deps.sh test installs it)")
    return found


class Engine(Server):
    """databases: URLs of empty ones, one for each name asked for. CPU is that of all its processes."""

    def __init__(self, name, directory, users):
        self.user = user_of(*users)
        if self.user:
            os.chown(directory, self.user.pw_uid, self.user.pw_gid)
        self.engine_port = free_port()
        self.prepare(directory)
        super().__init__(name, self.as_user(self.start_command(directory)), directory, self.engine_port, self.is_up)

    def as_user(self, command):
        if not self.user:
            return command
        return ["setpriv", "--pdeathsig=TERM", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"] + command

    def tell(self, command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"{command[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def is_up(self):
        try:
            return self.sql("SELECT 1").strip() == "1"
        except BenchError:
            return False


class Postgres(Engine):
    def __init__(self, directory):
        super().__init__("postgres", directory, ["postgres", "nobody"])

    def prepare(self, directory):
        self.data = os.path.join(directory, "pgdata")
        self.tell(self.as_user([program("initdb"), "-D", self.data, "-U", "bench", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust"]))

    def start_command(self, directory):
        return [program("postgres"), "-D", self.data, "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.engine_port}", "-c",
                f"unix_socket_directories={directory}", "-c", "max_connections=300"]

    def sql(self, text):
        return self.tell([program("psql"), f"postgres://bench@127.0.0.1:{self.engine_port}/postgres", "-qAtc", text])

    def database(self, name):
        self.sql(f"CREATE SCHEMA {name}")
        return f"postgres://bench@127.0.0.1:{self.engine_port}/postgres?options=-csearch_path%3D{name}"


class Mariadb(Engine):
    def __init__(self, directory):
        super().__init__("mariadb", directory, ["mysql", "nobody"])

    def prepare(self, directory):
        self.data, self.init = os.path.join(directory, "mydata"), os.path.join(directory, "init.sql")
        self.tell(self.as_user([program("mariadb-install-db"), "--no-defaults", f"--datadir={self.data}",
                                "--auth-root-authentication-method=normal", "--skip-test-db"]))
        with open(self.init, "w", encoding="utf-8") as f:
            f.write(f"CREATE USER bench@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO bench@'127.0.0.1';\n")
        os.chmod(self.init, 0o644)

    def start_command(self, directory):
        return [program("mariadbd"), "--no-defaults", f"--datadir={self.data}", f"--socket={directory}/mysql.sock",
                f"--port={self.engine_port}", "--bind-address=127.0.0.1", f"--init-file={self.init}", "--skip-name-resolve",
                "--max-connections=300"]

    def sql(self, text):
        return self.tell([program("mariadb"), "--no-defaults", "-h127.0.0.1", f"-P{self.engine_port}", "-ubench", f"-p{PASSWORD}",
                          "-NBe", text])

    def database(self, name):
        self.sql(f"CREATE DATABASE {name}")
        return f"mysql://bench:{PASSWORD}@127.0.0.1:{self.engine_port}/{name}"
