from dragoman.simulator.demo import MODELS, entries, welcome

KEY = "sk-" + "k" * 48


def test_every_model_has_a_channel_and_the_user_has_the_key() -> None:
    made = entries("http://127.0.0.1:9", KEY)
    assert {m for c in made["channels"] for m in c["models"]} == {m for _, names in MODELS for m in names}
    assert all(c["base_url"] == "http://127.0.0.1:9" for c in made["channels"])
    assert made["users"][0]["keys"][0]["key"] == KEY and made["users"][0]["credit"] == "10"


def test_the_welcome_holds_url_key_and_a_line_to_paste() -> None:
    text = welcome("http://127.0.0.1:4000", KEY)
    assert f"curl http://127.0.0.1:4000/v1/chat/completions -H 'Authorization: Bearer {KEY}'" in text
