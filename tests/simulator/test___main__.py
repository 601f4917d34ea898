import http.client
import subprocess
import sys


def test_prints_its_address_and_serves() -> None:
    command = [sys.executable, "-m", "dragoman.simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
            connection.request("GET", "/v1/models", headers={"Authorization": "Bearer k"})
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            process.terminate()
            process.wait(timeout=20)


def test_imports_nothing_else_of_ours_and_no_web_framework() -> None:
    code = (
        "import sys, dragoman.simulator\n"
        "ours = [m for m in sys.modules if m.startswith('dragoman') and not m.startswith('dragoman.simulator')]\n"
        "heavy = [m for m in ('starlette', 'fastapi', 'pydantic', 'sqlalchemy', 'uvicorn') if m in sys.modules]\n"
        "assert ours == ['dragoman'] and not heavy, (ours, heavy)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
