import pytest

from dragoman.simulator.models import LISTED


def test_openai_shape(sim) -> None:
    listed = sim.get("/v1/models").json()
    assert [item["id"] for item in listed["data"]] == list(LISTED)
    assert sim.get("/v1/models/gpt-5.4").json()["object"] == "model"


def test_anthropic_shape_and_pages(sim) -> None:
    version = {"anthropic_version": "2023-06-01"}
    first = sim.get("/v1/models?limit=5", **version).json()
    assert (len(first["data"]), first["has_more"], first["last_id"]) == (5, True, LISTED[4])
    rest = sim.get(f"/v1/models?limit=100&after_id={first['last_id']}", **version).json()
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == (list(LISTED[5:]), False)
    assert sim.get("/v1/models/claude-x", **version).json()["type"] == "model"


def test_gemini_shape_and_pages(sim) -> None:
    first = sim.get("/v1beta/models?pageSize=7").json()
    rest = sim.get(
        f"/v1/models?pageSize=7&pageToken={first['nextPageToken']}&key=k", authorization=None
    ).json()
    assert [item["name"] for item in first["models"] + rest["models"]] == [
        f"models/{name}" for name in LISTED
    ]
    assert "nextPageToken" not in rest
    assert "generateContent" in sim.get("/v1beta/models/g").json()["supportedGenerationMethods"]


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/v1/models/missing-1", {}, "invalid_request_error"),
        ("/v1/models/missing-1", {"anthropic_version": "2023-06-01"}, "not_found_error"),
    ],
)
def test_unknown_models(sim, path, headers, code) -> None:
    answer = sim.get(path, **headers)
    assert (answer.status, answer.json()["error"]["type"]) == (404, code)
    assert sim.get("/v1beta/models/missing-1").json()["error"]["status"] == "NOT_FOUND"
