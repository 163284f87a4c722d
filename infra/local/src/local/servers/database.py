"""A private PostgreSQL cluster: it is started, stopped, and broken in all ways that tests need."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from local.errors import LocalError
from local.secret_file import write_secret
from local.servers.daemon import Daemon
from local.servers.programs import PostgreSQL, library_environment

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SUPERUSER = "postgres"
# PostgreSQL refuses to run as root, so it runs as nobody. The capability lets it into a checkout
# below a directory that only root may enter, such as /root. initdb looks for its programs by
# access(2), which respects the capability only with this bit.
UNPRIVILEGED_USER = "nobody"
UNPRIVILEGED = (
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--securebits=+no_setuid_fixup",
)
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # its path must be short; a checkout's may be long
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",  # needs LLVM (100 MB), and no query of Warren gains by it
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Role:
    """A role and its database, which has the same name and which only this role may use."""

    name: str
    password: str
    creates_databases: bool = False


@dataclass(frozen=True)
class DatabaseSettings:
    directory: Path
    port: int  # on 127.0.0.1
    roles: tuple[Role, ...]
    options: Mapping[str, str] = field(default_factory=dict)  # of the server, by name

    def url(self, role: str, database: str | None = None) -> str:
        """Return the address, with password, of the role's own database or of another one."""
        password = next(known.password for known in self.roles if known.name == role)
        account = f"{quote(role, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{account}@127.0.0.1:{self.port}/{quote(database or role, safe='')}"


class Database:
    """One PostgreSQL cluster under one directory, fully durable (fsync is never turned off)."""

    def __init__(self, settings: DatabaseSettings, programs: PostgreSQL) -> None:
        self.settings = settings
        self._programs = programs
        self.data = settings.directory / "data"
        self._superuser_file = settings.directory / "superuser-password"
        self._server = Daemon("postgres", settings.directory, signal.SIGINT)  # SIGINT: fast stop
        self._environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            **library_environment(programs.libraries),
        }

    @property
    def log(self) -> Path:
        return self._server.log

    @property
    def running(self) -> bool:
        return self._server.running

    @property
    def pids(self) -> list[int]:
        """The server's main process, and those of its connections and its own work."""
        return self._server.pids

    def launch(self) -> None:
        """Start the cluster without waiting, unless it runs; make it first if there is none.

        Call from the main thread.
        """
        if self.running:
            return
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_owner()
        options = {**OPTIONS, **self.settings.options, "port": str(self.settings.port)}
        assignments = [f"--{name}={value}" for name, value in options.items()]
        command = [f"{self._programs.programs}/postgres", "-D", f"{self.data}", *assignments]
        self._server.launch(command, self._environment, *_privileges())

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start the cluster and wait until it can be used.

        Afterwards each role and its database exist, with the passwords of the settings.
        """
        self.launch()
        self._server.wait_until(self._ready, seconds)
        self._create_roles()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        self._server.stop(seconds)

    def kill(self) -> None:
        """Kill the server and its backends as a power cut would; `start` brings them back."""
        self._server.kill()

    def stop_immediately(self) -> None:
        """Stop without a checkpoint (SIGQUIT), so that the next start has to recover."""
        self._server.stop(STOP_SECONDS, signal.SIGQUIT)

    def pause(self) -> None:
        """Freeze the server and its backends: nothing answers, until `resume`."""
        self._server.pause()

    def resume(self) -> None:
        self._server.resume()

    def create_database(self, name: str, owner: str, template: str = "template1") -> str:
        """Make a database to which only its owner may connect, and return its address.

        It is a copy of the `template`, to which nobody may be connected meanwhile.
        """
        names = {
            key: sql.Identifier(value)
            for key, value in {"name": name, "owner": owner, "template": template}.items()
        }
        with self._superuser() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE {template}").format(**names)
            )
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {name} FROM PUBLIC").format(**names))
        return self.settings.url(owner, name)

    def drop_database(self, name: str) -> None:
        """Remove a database, and disconnect its clients."""
        with self._superuser() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _initialise(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(self._superuser_file, secrets.token_urlsafe(32))
        if os.geteuid() == 0:
            os.chown(self.data, _owner().pw_uid, _owner().pw_gid)
        with self._initdb() as initdb:
            command = [
                *(*_as_owner(), str(initdb), "--pgdata", f"{self.data}"),
                *("--username", SUPERUSER, "--pwfile", f"{self._superuser_file}"),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
            ]
            result = subprocess.run(
                command, env=self._environment, cwd="/", capture_output=True, text=True, check=False
            )
        if result.returncode:
            raise LocalError(f"PostgreSQL could not make its files:\n{result.stderr.strip()}")

    @contextmanager
    def _initdb(self) -> Iterator[Path]:
        """Yield the path of initdb, which gives its own real path to a shell, in double quotes.

        A copy is used if that path has characters which are special there. The server itself uses
        no shell.
        """
        initdb = self._programs.programs / "initdb"
        if not set('"$`\\') & set(str(initdb.resolve())):
            yield initdb
            return
        version, usr = initdb.parents[1], initdb.parents[4]  # usr/lib/postgresql/<version>/bin
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("lib", "share"):
                files = Path(kind, "postgresql", version.name)
                shutil.copytree(usr / files, folder / files)
            yield folder / initdb.relative_to(usr)

    def _check_owner(self) -> None:
        holder = self.data.stat().st_uid
        if holder != _owner().pw_uid:
            name = pwd.getpwuid(holder).pw_name
            raise LocalError(
                f"{self.data} belongs to {name}: it was made by another user or by root. "
                "Run as that user, or let it run `make clean` first."
            )

    def _ready(self) -> bool:
        try:
            self._superuser().close()
        except psycopg.OperationalError:
            return False
        return True

    def _superuser(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.settings.port,
            user=SUPERUSER,
            password=self._superuser_file.read_text(),
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        )

    def _create_roles(self) -> None:
        with self._superuser() as connection:
            roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            databases = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            for role in self.settings.roles:
                verb = "ALTER" if role.name in roles else "CREATE"
                may = "CREATEDB" if role.creates_databases else "NOCREATEDB"
                statement = sql.SQL(f"{verb} ROLE {{}} LOGIN {may} PASSWORD {{}}")
                connection.execute(statement.format(sql.Identifier(role.name), role.password))
        for role in self.settings.roles:
            if role.name not in databases:
                self.create_database(role.name, owner=role.name)


def _owner() -> pwd.struct_passwd:
    return pwd.getpwnam(UNPRIVILEGED_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _privileges() -> tuple[str, ...]:
    return UNPRIVILEGED if os.geteuid() == 0 else ()


def _as_owner() -> list[str]:
    return ["setpriv", *UNPRIVILEGED, "--"] if os.geteuid() == 0 else []
