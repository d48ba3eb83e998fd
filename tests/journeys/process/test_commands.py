"""What shows only in a process of its own: imports, signals, closed pipes, and other versions of packages."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from bff.admin.okta.credentials_file import ClientCredentials, CredentialsFile
from bff.cli import exit_codes
from bff.server.required_versions import REQUIRED
from tests.harness.bff_command import PATIENCE, bff, process_environment, python
from tests.harness.settings import CLIENT_SECRET, RIGHT, with_changes
from tests.harness.waiting import until

IMPORTS = """
import sys
from pathlib import Path
from bff.cli.main import main
code = main(sys.argv[1:])
Path("modules").write_text(" ".join([str(code), *sys.modules]))
"""


def modules_after(*arguments: str, environ: dict[str, str] | None = None, cwd: Path) -> tuple[int, set[str]]:
    """The exit code of a command, and what it has imported."""
    done = python("-c", IMPORTS, *arguments, environ=environ, cwd=cwd)
    assert done.returncode == 0, done.stderr
    code, *modules = (cwd / "modules").read_text().split()
    return int(code), set(modules)


def test_the_help_imports_no_settings_and_no_framework(tmp_path: Path) -> None:
    code, modules = modules_after("--help", cwd=tmp_path)
    assert code == 0
    assert {"pydantic", "fastapi", "httpx", "bff.config.settings", "bff.app"} & modules == set()


def test_serving_imports_no_operator_command_and_no_telemetry_sdk(tmp_path: Path) -> None:
    """The address is not one of this machine: by the time it cannot be bound everything is imported."""
    environ = with_changes(listen="192.0.2.1:1", store=f"sqlite:///{tmp_path / 'bff.db'}")
    code, modules = modules_after("serve", environ=environ, cwd=tmp_path)
    assert code == 1
    assert {"bff.app", "bff.server.run"} <= modules
    unwanted = ("bff.admin", "opentelemetry.sdk", "opentelemetry.exporter", "google")
    assert [name for name in modules if name.startswith(unwanted)] == []


def test_serve_logs_once_that_it_ignores_service_links_of_kubernetes(tmp_path: Path) -> None:
    links = {"service_host": "10.96.0.7", "service_port": "8080", "port": "tcp://10.96.0.7:8080"}
    environ = with_changes(listen="192.0.2.1:1", store=f"sqlite:///{tmp_path / 'bff.db'}", log_format="json", **links)
    logged = bff("serve", environ=environ, cwd=tmp_path).stderr
    (line,) = [line for line in logged.splitlines() if "service links" in line]
    assert json.loads(line)["services"] == "bff"
    assert "enableServiceLinks" in line


def test_a_working_directory_that_the_process_may_not_search_has_no_bff_toml(tmp_path: Path) -> None:
    """OpenShift runs an image as an arbitrary user, to whom the directory of the image may be closed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "bff.toml").write_text("unknown = 1")
    # As a user without the rights of root. The interpreter's own files may be closed to that user: import them before.
    drop = "os.setgroups([]); os.setgid(65534); os.setuid(65534)" if os.geteuid() == 0 else "pass"
    imports = "import os; import bff.cli.check; from bff.cli.main import main"
    program = f"{imports}; os.chdir('closed'); os.chmod('.', 0); {drop}; main(['check'])"
    done = python("-c", program, environ=RIGHT, cwd=tmp_path)
    closed.chmod(0o700)
    assert "The settings are valid." in done.stdout, done.stderr


def test_a_secret_file_of_another_user_names_the_user_that_needs_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0)
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    drop = "os.setgroups([]); os.setgid(65534); os.setuid(65534)" if os.geteuid() == 0 else "pass"
    program = f"import os; import bff.cli.check; from bff.cli.main import main; {drop}; main(['check'])"
    environ = {**with_changes(client_secret=None), "BFF_CLIENT_SECRET_FILE": str(secret)}
    done = python("-c", program, environ=environ, cwd=tmp_path)
    assert (
        f"BFF_CLIENT_SECRET_FILE: cannot be read by the user {user} of this process: Permission denied." in done.stderr
    )
    assert f"chown {user}" in done.stderr


def test_serve_refuses_another_release_of_uvicorn_and_names_the_right_one(tmp_path: Path) -> None:
    program = "import uvicorn; uvicorn.__version__ = '0.55.0'; from bff.cli.main import main; exit(main(['serve']))"
    done = python("-c", program, environ=with_changes(listen="127.0.0.1:0"), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "uvicorn: version 0.55.0 is installed" in done.stderr.replace("\n  ", " ")
    assert f"uvicorn~={REQUIRED['uvicorn']}.0" in done.stderr
    assert "Traceback" not in done.stderr


def test_tracing_without_the_extra_is_refused_with_the_fix(tmp_path: Path) -> None:
    program = "import sys; sys.modules['opentelemetry'] = None; from bff.cli.main import main; exit(main(['serve']))"
    done = python("-c", program, environ=with_changes(tracing="otlp"), cwd=tmp_path)
    assert done.returncode == 1
    assert "BFF_TRACING: is otlp, and OpenTelemetry is not installed. Install okta-bff[otel]" in done.stderr


FRAMEWORK = """
import asyncio, httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from bff.web.dispatch import build_auth_app
from bff.web.error_responder import ErrorResponder

exported, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exported))
trace.set_tracer_provider(provider)

async def request():
    transport = httpx.ASGITransport(build_auth_app(ErrorResponder()))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        return (await client.get("/authorization-code/callback?code=canary")).status_code

print(asyncio.run(request()), exported.get_finished_spans())
"""


def test_the_frameworks_own_spans_stay_off(tmp_path: Path) -> None:
    """They would contain the query of the callback."""
    done = python("-c", FRAMEWORK, environ={"FASTAPI_OTEL_AUTO_CONFIGURE": "true"}, cwd=tmp_path)
    assert done.stdout == "404 ()\n", done.stderr


def test_a_reader_that_leaves_causes_no_traceback(tmp_path: Path) -> None:
    """As `bff check | head -0` does."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "bff", "check"],
        env=process_environment({"PYTHONUNBUFFERED": "1", **RIGHT}),
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, "")


async def test_ctrl_c_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    """Interrupted while it reads an env file that never ends: a named pipe, which the test holds open."""
    pipe = tmp_path / "bff.env"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "bff", "check", "--env-file", str(pipe)],
        env=process_environment(RIGHT),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    writers: list[int] = []

    def is_read() -> bool:
        try:
            writers.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO:  # no process has it open for reading
                raise
        return bool(writers)

    await until(is_read)
    process.send_signal(signal.SIGINT)
    os.close(writers[0])  # a signal that comes just before the read is noticed after it
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stdout) == (exit_codes.INTERRUPTED, "")
    assert "Traceback" not in stderr


def test_a_shell_reads_the_env_file_of_bff_okta(tmp_path: Path) -> None:
    secret = """with blank, dollar$HOME, quote'in'it, double", back\\slash and #hash"""
    file = CredentialsFile(tmp_path / "okta.env", "env")
    file.write(ClientCredentials("0oa1", secret))
    script = f'. "{file.path}"; printf %s "$BFF_CLIENT_SECRET"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == secret
