import http.client
import json

from dragoman.simulator.server import listen, running


def test_port_zero_takes_a_free_port_and_stops() -> None:
    with running() as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.request("GET", "/_sim")
        assert json.loads(connection.getresponse().read()) == {"status": "ok"}
        connection.close()
        port = int(url.rpartition(":")[2])
    listen(port=port).close()


def test_two_simulators_share_nothing() -> None:
    with running() as one, running() as other:
        for url, expected in ((one, 1), (other, 0)):
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
            if url == one:
                connection.request("GET", "/v1/models")
                connection.getresponse().read()
            connection.request("GET", "/_sim/requests")
            assert len(json.loads(connection.getresponse().read())) == expected
            connection.close()
