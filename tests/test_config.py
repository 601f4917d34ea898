from pathlib import Path

import pytest

from dragoman import config

KEY = "sk-" + "A1" * 24


def load(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> config.Settings:
    file = tmp_path / "dragoman.toml"
    file.write_text(text)
    return config.load(file, env or {})


def test_without_a_file_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = config.load(None, {})
    assert (settings.server.host, settings.server.port, settings.server.body_bytes) == (
        "127.0.0.1",
        4000,
        100_000_000,
    )


def test_the_environment_fills_values_and_wins_over_the_file(tmp_path: Path) -> None:
    text = '[server]\nport = 4001\n[[channels]]\nname="a"\nprovider="openai"\nkeys=["env:OPENAI_API_KEY"]\nmodels=["*"]'
    env = {
        "OPENAI_API_KEY": "sk-up",
        "DRAGOMAN_SERVER__PORT": "4002",
        "DRAGOMAN_SERVER__API_ONLY_HOSTS": "a.example,b.example",
    }
    settings = load(tmp_path, text, env)
    assert settings.server.port == 4002
    assert settings.server.api_only_hosts == ("a.example", "b.example")
    assert settings.channels[0].keys == ("sk-up",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nprot = 1", "server.prot: unknown name; accepted here: answer_bytes,"),
        ("[server]\nport = 70000", "server.port: Input should be less than or equal to 65535"),
        ('[[groups]]\nname="a"\nhold="maybe"', "groups[0].hold: Input should be 'expected' or 'strict'"),
        (
            '[[groups]]\nname="a"\nmultiplier="1.0000001"',
            "groups[0].multiplier: a multiplier has more than 6 decimal places",
        ),
        ('[[prices]]\nmodel="m"\ninput="-1"', "prices[0].input: an amount in USD must not be negative"),
        (
            '[[channels]]\nname="a"\nprovider="openai"\nmodels=["m"]\nkeys=["env:NOPE"]',
            "channels[0].keys[0]: the environment variable NOPE is not set",
        ),
        ('[[users]]\nusername="u"\n[[users.keys]]\nname="k"\nkey="sk-short"', "users[0].keys[0].key: "),
        (
            '[[users]]\nusername="u"\n[[users.keys]]\nname="k"\nkeey="x"',
            "users[0].keys[0].keey: unknown name; accepted here: allow_ips,",
        ),
        ('[[users]]\nusername="u"\n[[users]]\nusername="u"', "users[1]: u stands twice"),
        ('[server]\ntls_cert="a"', "server: tls_cert and tls_key are needed together"),
        ("[server]\nworkers=2", "server.workers: more than one process needs a PostgreSQL database_url"),
        (
            '[server]\nworkers=2\nport=0\ndatabase_url="postgresql://x/y"',
            "server.port: several workers need a port",
        ),
        (
            '[[channels]]\nname="a"\nprovider="opnai"\nmodels=["m"]',
            "channels[0].provider: 'opnai' is not known; accepted here: anthropic,",
        ),
        ('[[users]]\nusername="u"\ncredit="1000000001"', "users[0].credit: an amount in USD is at most"),
        ("server = 3", "server: "),
        ("[server", "dragoman.toml: "),
    ],
)
def test_bad_values_name_the_file_the_path_and_what_is_accepted(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert expected in message and "dragoman.toml" in message


def test_the_command_line_wins_over_the_environment_and_is_checked_too(tmp_path: Path) -> None:
    env = {"DRAGOMAN_SERVER__PORT": "4002"}
    file = tmp_path / "dragoman.toml"
    file.write_text("[server]\nport = 4001\n")
    assert config.load(file, env).server.port == 4002
    assert config.load(file, env, port=4003, host="::1").server.port == 4003
    with pytest.raises(config.ConfigError, match=r"server\.port: "):
        config.load(file, env, port=-1)


def test_without_a_file_problems_do_not_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(config.ConfigError, match=r"\(command line and environment\): server.port"):
        config.load(None, {"DRAGOMAN_SERVER__PORT": "x"})


def test_a_missing_file_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="no such file"):
        config.load(tmp_path / "nope.toml", {})


def test_a_secret_of_two_users_names_both(tmp_path: Path) -> None:
    """One credential is one user: sk-… and cr-… with the same body are the same key."""
    tokens = '[[users]]\nusername="ann"\naccess_token="{}"\n[[users]]\nusername="bob"\naccess_token="{}"'
    for one, other in (("the-same-text", "the-same-text"), ("sk-the-same-text", "the-same-text")):
        with pytest.raises(config.ConfigError) as caught:
            load(tmp_path, tokens.format(one, other))
        wanted = "users[1].access_token (bob): it stands twice, also as users[0].access_token (ann)"
        assert str(caught.value).endswith(wanted) and "the-same-text" not in str(caught.value)
    load(tmp_path, tokens.format("one", "other"))
    load(tmp_path, tokens.format("", ""))
    keys = f"""[[users]]\nusername="ann"\n[[users.keys]]\nname="a"\nkey="{KEY}"
        [[users]]\nusername="bob"\n[[users.keys]]\nname="b"\nkey="cr-{KEY[3:]}" """
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, keys)
    message = f"users[1].keys[0].key (bob): cr-{KEY[3:6]}… stands twice, also as users[0].keys[0].key (ann)"
    assert str(caught.value).endswith(message)


def test_a_key_is_never_printed_in_full(tmp_path: Path) -> None:
    text = f'[[users]]\nusername="u"\n[[users.keys]]\nname="k"\nkey="{KEY}"\n[[users]]\nusername="v"\n[[users.keys]]\nname="k"\nkey="{KEY}"'
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, text)
    assert KEY not in str(caught.value) and "stands twice" in str(caught.value)


def test_what_this_build_does_not_serve_is_accepted_with_a_warning(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[server]\nvalkey_url="valkey://x"\n[[channels]]\nname="s"\nprovider="suno"\nmodels=["x"]\n[[prices]]\nmodel="mj_imagine"\nper_image="0.01"\ntools={web_search="0.01"}',
    )
    assert settings.warnings() == [
        "prices[0] (mj_imagine): per_image, tools is stored but not charged by this build",
        "channels[0] (s): provider suno is accepted but not served by this build",
        "server.valkey_url is accepted but not used by this build",
    ]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ("{foo = 1}", "there is no such fact"),
        ('{efforts = ["huge"]}', "efforts"),
        ("{max_output = 0}", "max_output"),
    ],
)
def test_facts_that_cannot_be_stop_the_start(tmp_path: Path, facts: str, words: str) -> None:
    path = tmp_path / "dragoman.toml"
    path.write_text(
        f'[[channels]]\nname = "c"\nprovider = "openai"\nkeys = ["k"]\nmodels = ["m"]\nfacts = {facts}\n'
    )
    with pytest.raises(config.ConfigError, match=words):
        config.load(path, {})
