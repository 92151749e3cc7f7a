"""The server, through sockets and the client that UM-Bridge itself ships."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from romflow.core.errors import InputError
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.serving import server as server_module
from romflow.serving.model import serve_reduced
from romflow.serving.server import ModelServer
from romflow.store.snapshots import SnapshotStore

umbridge = pytest.importorskip("umbridge")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def rom(tmp_path_factory):
    space = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=4)])
    fom = ThermalBlock(space, blocks=[2, 2], cells=6)
    store = SnapshotStore(tmp_path_factory.mktemp("store"), fom.spec, space.columns)
    mu = space.sample(5, np.random.default_rng(0))
    for row in mu:
        store.put(row, fom.solve(row))
    return ReducedBasisReductor(tolerance=1e-6, max_size=5).reduce(fom, store, mu)


@pytest.fixture(scope="module")
def server(rom):
    with ModelServer([serve_reduced(rom)], port=0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(server):
    return umbridge.HTTPModel(f"http://127.0.0.1:{server.port}", "reduced")


def post(server, path, body, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("POST", path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def test_the_client_of_umbridge_gets_the_model(client, rom, must_fail):
    mu = [0.2, 0.4, 0.6, 0.8]
    answer = rom.solve([mu])
    assert client.get_input_sizes() == [4] and client.get_output_sizes() == [len(rom.output_names)]
    assert client.supports_evaluate() and client.supports_gradient() and not client.supports_apply_hessian()

    def check(found):
        np.testing.assert_array_equal(found, answer.output[:, 0])

    found = client([mu])[0]
    check(found)
    must_fail(check, np.nextafter(found, 9.0), np.nextafter(found, -9.0))
    values, errors, error = client([mu], {"errors": True})
    assert values == found and errors == answer.output_error[:, 0].tolist() and error == answer.error.tolist()


def test_its_derivatives_are_those_of_the_model(client, rom):
    mu = [0.2, 0.4, 0.6, 0.8]
    J = rom.sensitivity([mu])[:, :, 0]
    sens, vec = np.arange(1.0, len(J) + 1), np.array([1.0, -2.0, 3.0, 0.5])
    np.testing.assert_allclose(client.gradient(0, 0, [mu], sens.tolist()), sens @ J, rtol=1e-13)
    np.testing.assert_allclose(client.apply_jacobian(0, 0, [mu], vec.tolist()), J @ vec, rtol=1e-13)


@pytest.mark.parametrize("mu", [[0.2, 0.4, 0.6], [0.2, 0.4, 0.6, 9.0]])
def test_the_client_gets_the_errors_of_the_protocol(client, mu):
    with pytest.raises(Exception, match="InvalidInput"):
        client([mu])


def test_a_thousand_wrong_requests_leave_it_alive(server, client):
    bodies = [b"", b"{", b"[" * 5000, b"\xff\xfe", b"[]", b"{\"name\": 3}", b"{\"name\": \"reduced\"}",
              b"{\"name\": \"reduced\", \"input\": [[NaN, 1, 1, 1]]}",
              b"{\"name\": \"reduced\", \"input\": [[1, 1, 1, 1, 1]]}",
              b"{\"name\": \"reduced\", \"input\": [[1, 1, 1, 1e999]]}"]
    paths = ["/Evaluate", "/Gradient", "/ApplyJacobian", "/ApplyHessian", "/ModelInfo", "/Nowhere", "/" + "a" * 300]
    wrong = [(paths[i % len(paths)], bodies[i % len(bodies)]) for i in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda item: post(server, *item)[0], wrong))
    accepted = sum(status == 200 for status in statuses)
    assert accepted == sum(path == "/ModelInfo" and b"\"reduced\"" in body for path, body in wrong)
    assert client([[0.5] * 4])


def test_connections_that_break_leave_it_alive(server, client):
    for text in (b"", b"NONSENSE\r\n\r\n", b"POST /Evaluate HTTP/1.1\r\nContent-Length: 50\r\n\r\n{",
                 b"POST /Evaluate HTTP/1.1\r\nContent-Length: many\r\n\r\n",
                 b"POST /Evaluate HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                 b"POST /Evaluate HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(text)
    assert client([[0.5] * 4])


def test_too_long_a_request_is_refused(server):
    assert post(server, "/Evaluate", b"{}", {"Content-Length": "99999999999"})[0] == 413


def test_fifty_clients_at_once(server, rom):
    mu = rom.parameters.sample(50, np.random.default_rng(1))
    expected = rom.solve(mu).output

    def ask(row):
        body = json.dumps({"name": "reduced", "input": [row.tolist()]})
        return [post(server, "/Evaluate", body) for _ in range(4)]

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(ask, mu))
    for j, replies in enumerate(found):
        for status, content in replies:
            assert status == 200
            np.testing.assert_allclose(content["output"][0], expected[:, j], rtol=1e-12)


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_in_use_and_models_of_one_name_are_refused(server, rom):
    with pytest.raises(InputError, match="cannot be listened at"):
        ModelServer([serve_reduced(rom)], port=server.port)
    with pytest.raises(InputError, match="its own name"):
        ModelServer([serve_reduced(rom), serve_reduced(rom)], port=0)
    with pytest.raises(InputError, match="at least one"):
        ModelServer([], port=0)
    with pytest.raises(InputError, match="whole number from 0 to 65535"):
        ModelServer([serve_reduced(rom)], port=70000)


def test_clients_that_never_finish_a_request_keep_nobody_out(server, monkeypatch):
    monkeypatch.setattr(server_module, "_CONNECTIONS", 8)
    slow = []
    try:
        for _ in range(30):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            one.sendall(b"POST /Evaluate HTTP/1.1\r\nHost: x\r\nContent-Le")
            slow.append(one)
        for _ in range(3):
            status, content = post(server, "/Info", "{}")
            assert status == 200 and content["models"] == ["reduced"]
        assert slow[0].recv(1) == b""  # the oldest was closed
        slow[-1].sendall(b"ngth: 2\r\nConnection: close\r\n\r\n{}")
        assert b"ModelNotFound" in slow[-1].makefile("rb").read()  # the youngest may still ask
    finally:
        for one in slow:
            one.close()
