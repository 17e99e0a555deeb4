"""What is wrong with a configuration is said exactly: where, what, and what to do about it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from llm_dispatcher.runtime.config import ConfigError, load, load_mapping
from llm_dispatcher.runtime.config.units import Seconds

VENDOR = """
[[vendors]]
name = "acme"
base_url = "https://acme.example/v1"
api_key = "sk-1"
[[vendors.models]]
name = "large"
"""

CASES: list[tuple[str, str]] = [
    # --- shape ---
    ("[server]\nprot = 1", "server.prot: unknown key\n    did you mean `port`?"),
    (
        "[logging]\ncolour = 1",
        "logging.colour: unknown key\n    known here: format, level",
    ),
    ("[server]\nport = 'http'", "server.port: expected a whole number, got text"),
    ("[server]\nport = 70000", "server.port: expected a whole number <= 65535"),
    ("timeouts = 5", "timeouts: expected a table, got a whole number"),
    ("vendors = {}", "vendors: expected a list, got a table"),
    (
        "[timeouts]\nconnect = '3 parsecs'",
        "timeouts.connect: '3 parsecs' is not a duration; write it like 3, '250ms', '3s', '1m30s' or '2h'",
    ),
    (
        VENDOR + "price = {input = 'q', output = 1}",
        "vendors[0] (acme).models[0] (large).price.input: "
        "'q' is not a price; write dollars like 0.15 or '0.15'",
    ),
    (
        VENDOR + "price = {input = 1}",
        "vendors[0] (acme).models[0] (large).price.output: is missing\n    add `output = ...`",
    ),
    (
        VENDOR + "capabilities = ['tool']",
        "vendors[0] (acme).models[0] (large).capabilities[0]: 'tool' is not one of "
        "json, logprobs, prefill, reasoning, seed, tools, vision\n    did you mean `tools`?",
    ),
    (
        "[[vendors]]\nname = 'a b'",
        "vendors[0] (a b).name: not a name\n"
        "    a name has no spaces and no `#`, does not begin with `/`, and is not empty",
    ),
    ("[[vendors]]\nserve = 'never'", "vendors[0].name: is missing\n    add `name = ...`"),
    (
        "[[vendors]]\nname = 'a'\n[vendors.headers]\nx-a = 'a'\nx-b = 1",
        "vendors[0] (a).headers.x-b: expected text, got a whole number",
    ),
    ("[modes.mine]\npolicy = 3", "modes.mine.policy: expected text, got a whole number"),
    (
        "[modes.'x y']\npolice = 'best'",
        'modes."x y".police: unknown key\n    did you mean `policy`?',
    ),
    (
        "[[routes]]\nname = 'r'\ntargets = [{too = 'acme/large'}]",
        "routes[0] (r).targets[0].too: unknown key\n    did you mean `to`?",
    ),
    # --- vendors ---
    (
        VENDOR + VENDOR,
        "vendors[1] (acme).name: another vendor is called 'acme' too\n    rename one of them",
    ),
    (
        VENDOR.replace('"acme"', '"ac/me"'),
        "vendors[0] (ac/me).name: a vendor's name has no `/`\n"
        "    leave it out: deployments are called `vendor/model`",
    ),
    (
        VENDOR.replace('"acme"', '"openai"').replace('"sk-1"', '"sk-1"\npassthrough = true'),
        "vendors[0] (openai).passthrough: /openai/ is a path of the dispatcher's own\n"
        '    name another path, such as passthrough = "openai-direct"',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\npassthrough = "v1"'),
        "vendors[0] (acme).passthrough: /v1/ is a path of the dispatcher's own\n"
        '    name another path, such as passthrough = "acme-direct"',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\npassthrough = "a/b"'),
        "vendors[0] (acme).passthrough: /a/b/ is no path that every client can ask for\n"
        '    name another path, such as passthrough = "acme-direct"',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\npassthrough = true')
        + VENDOR.replace('"acme"', '"other"').replace('"sk-1"', '"sk-1"\npassthrough = "acme"'),
        "vendors[1] (other).passthrough: another vendor is passed on to below /acme/ too\n"
        '    name another path, such as passthrough = "other-direct"',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\ndialect = "antropic"'),
        "vendors[0] (acme).dialect: no dialect is called 'antropic'\n    did you mean `anthropic`?",
    ),
    (
        VENDOR.replace("https://acme.example/v1", ""),
        'vendors[0] (acme).base_url: is missing\n    write it like "https://api.example.com/v1"',
    ),
    (
        VENDOR.replace("https://", "ftp://"),
        "vendors[0] (acme).base_url: not an http or https address\n"
        '    write it like "https://api.example.com/v1"',
    ),
    (
        VENDOR.replace("https://", "https://me:secret@"),
        "vendors[0] (acme).base_url: holds a user or password\n    use `api_key` or `headers`",
    ),
    (
        VENDOR.replace("/v1", "/v1?version=2"),
        "vendors[0] (acme).base_url: holds a query or fragment\n    end it with the path; see `options`",
    ),
    (
        VENDOR.replace('api_key = "sk-1"', ""),
        "vendors[0] (acme).api_key: the dialect 'openai' needs a key\n"
        '    set `api_key`, or serve = "with_key"; if the server wants none, write any word',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\napi_keys = ["sk-2"]'),
        "vendors[0] (acme).api_keys: is given as well as `api_key`\n    put the one key among the others",
    ),
    (
        VENDOR.replace('api_key = "sk-1"', 'api_keys = ["sk-1", "sk-1"]'),
        "vendors[0] (acme).api_keys[1]: the same key is given twice\n    leave it out",
    ),
    (
        VENDOR.replace("sk-1", "sk-1\\n"),
        "vendors[0] (acme).api_key: the key holds a space, a line break or a character that no key has\n"
        "    copy it again, without what stands around it",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nheaders = { x-a = "1\\r\\nx-b: 2" }'),
        "vendors[0] (acme).headers.x-a: the value holds a line break or another character that a header "
        "cannot carry\n    write it on one line, in Latin-1",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nheaders = { "x a" = "1" }'),
        'vendors[0] (acme).headers."x a": not the name of a header\n    use letters, digits and hyphens',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nheaders = { Content-Length = "1" }'),
        "vendors[0] (acme).headers.Content-Length: is set for each request\n    leave it out",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nproxy = "socks4://u:secret@p:1"'),
        "vendors[0] (acme).proxy: not the address of a proxy\n"
        '    write it like "http://user:password@proxy.example.com:3128", with the scheme http, https, socks5 or socks5h, '
        'or "none"',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nwarm = 3\nmax_connections = 2'),
        "vendors[0] (acme).warm: 3 connections are more than `max_connections`, 2\n"
        "    keep fewer warm, or allow more",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nlimits = { concurrent = 0 }'),
        "vendors[0] (acme).limits.concurrent: a limit of 0 lets nothing through\n"
        '    leave it out for no limit; to switch a vendor off, serve = "never"',
    ),
    (
        VENDOR.replace(
            '"sk-1"', '"sk-1"\nlimits = { tokens_per_minute = 100, output_tokens_per_minute = 50 }'
        ),
        "vendors[0] (acme).limits.output_tokens_per_minute: is given as well as `tokens_per_minute`\n"
        "    limit tokens either together, or input and output each",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nlimits = { dollars_per_hour = 5 }'),
        "vendors[0] (acme).limits.dollars_per_hour: the model 'large' has no price to be counted by\n"
        "    give it `price = { input = ..., output = ... }`, in dollars per million tokens",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nlimits = { ramp_floor = 0 }'),
        "vendors[0] (acme).limits.ramp_floor: a limit of 0 lets nothing through\n"
        '    leave it out for no limit; to switch a vendor off, serve = "never"',
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nlimit_model = "openia"'),
        "vendors[0] (acme).limit_model: 'openia' is not one of anthropic, azure, default, gemini, groq, openai\n"
        "    did you mean `openai`?",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\ntimeouts = { total = "10s", between_tokens = 5 }'),
        "vendors[0] (acme).timeouts.first_token: 60 s is longer than `total`, 10 s\n"
        "    shorten it, or make `total` longer",
    ),
    (
        VENDOR.replace('"sk-1"', '"sk-1"\nsimulate = { faults = { cut = 0.7, stall = 0.5 } }'),
        "vendors[0] (acme).simulate.faults: the shares add up to 1.2\n"
        "    a request fails in one way: at most 1",
    ),
    (
        "[[vendors]]\nname = 'acme'\nbase_url = 'http://localhost:1'",
        'vendors[0] (acme).models: is empty\n    add `[[vendors.models]]` with a `name`, or serve = "never"',
    ),
    # --- models ---
    (
        VENDOR + "[[vendors.models]]\nname = 'large'",
        "vendors[0] (acme).models[1] (large).name: the vendor has another model 'large'\n"
        "    leave one out; for several keys, use `api_keys`",
    ),
    (
        VENDOR + "context = 0",
        "vendors[0] (acme).models[0] (large).context: a context of 0 holds no request\n"
        "    leave it out if you do not know it",
    ),
    (
        VENDOR
        + "price = { input = 1, output = 1, tiers = [{ above = 9, input = 1, output = 1 }, { above = 9, input = 2, output = 2 }] }",
        "vendors[0] (acme).models[0] (large).price.tiers: are out of order\n"
        "    order them by `above`, the smallest first, each once",
    ),
    (
        VENDOR + "price = { input = 0.00000015, output = 1 }",
        "vendors[0] (acme).models[0] (large).price.input: 1.5E-7 dollars per million tokens cannot be meant\n"
        "    write dollars per million tokens, such as 0.15",
    ),
    (
        VENDOR + "weight = inf",
        "vendors[0] (acme).models[0] (large).weight: is not finite\n    write a number such as 1.0",
    ),
    # --- names ---
    (
        'policy = "cheap"\n' + VENDOR,
        "policy: no policy is called 'cheap'\n    did you mean `cheapest`?",
    ),
    (
        VENDOR + "[[routes]]\nname = 'r'\ntargets = ['acme/larg']",
        "routes[0] (r).targets[0]: the vendor 'acme' has no model 'larg'\n    did you mean `large`?",
    ),
    (
        VENDOR + "[[routes]]\nname = 'r'\ntargets = ['acne/large']",
        "routes[0] (r).targets[0]: no vendor is called 'acne'\n    did you mean `acme/large`?",
    ),
    (
        VENDOR + "[[routes]]\nname = 'r'\ntargets = [{ to = 'huge' }]",
        "routes[0] (r).targets[0].to: nothing is called 'huge'\n    known here: large",
    ),
    (
        VENDOR + "[[routes]]\nname = 'r'\ntargets = ['acme/large#2']",
        "routes[0] (r).targets[0]: acme/large has no key '2'\n    write `acme/large` for all of its keys",
    ),
    (
        VENDOR + "[[routes]]\nname = 'r'\ntargets = ['r']",
        "routes[0] (r).targets[0]: nothing is called 'r'\n    known here: large",
    ),
    (
        VENDOR + "[[routes]]\nname = 'r'\ntargets = []",
        "routes[0] (r).targets: is empty\n    list at least one `vendor/model` or model",
    ),
    (
        VENDOR + "[[routes]]\nname = 'r'\ntargets = [{ to = 'large', weight = 0 }]",
        "routes[0] (r).targets: every weight is 0\n    give at least one target a weight above 0",
    ),
    (
        VENDOR + "[[routes]]\nname = 'large'\ntargets = ['acme/large']",
        "routes[0] (large).name: 'large' is also a model\n    rename the route",
    ),
    (
        VENDOR + "[[routes]]\nname = 'fast'\ntargets = ['acme/large']",
        "routes[0] (fast).name: 'fast' is also a mode\n    rename the route",
    ),
    (
        VENDOR.replace('"large"', '"auto"'),
        "modes.auto: the mode 'auto' is also a model\n"
        "    rename the model, and keep what the vendor calls it in its `id`",
    ),
    (
        VENDOR + VENDOR.replace('"acme"', '"router"').replace('"large"', '"acme/large"'),
        "vendors[1] (router).models[0] (acme/large).name: 'acme/large' is also a deployment, "
        "of another vendor\n    rename the model, and keep what the vendor calls it in its `id`",
    ),
    (
        VENDOR + "[modes.thrifty]\npolicy = 'cheapest'\ntargets = ['small']",
        "modes.thrifty.targets[0]: nothing is called 'small'\n    known here: large",
    ),
    (
        VENDOR + "[modes.'no good']\npolicy = 'cheapest'",
        'modes."no good": not a name that a caller could say\n'
        "    a name has no spaces and no `#`, and does not begin with `/`",
    ),
    (
        VENDOR + "[[rules]]\nusers = ['me']",
        "rules[0]: the rule does nothing\n    give it a `route` or a `policy`",
    ),
    (
        VENDOR + "[[rules]]\nroute = 'fats'",
        "rules[0].route: nothing is called 'fats'\n    did you mean `fast`?",
    ),
    # --- numbers ---
    (
        "[timeouts]\nconnect = 0",
        "timeouts.connect: a timeout of 0 fails every request\n    write one such as '30s'",
    ),
    (
        "[retry.backoff]\nbase = '9s'",
        "retry.backoff.cap: is less than `base`\n    make it at least as long",
    ),
    (
        "[breaker]\nfailure_rate = 0",
        "breaker.failure_rate: a rate of 0 trips without a failure\n"
        "    write a share above 0, such as 0.5; 1 trips only when everything fails",
    ),
    (
        "[supervision]\nperiod = 0",
        "supervision.period: a duration of 0 makes no sense here\n    write one such as '30s'",
    ),
    (
        "[server]\nmax_body = 0",
        "server.max_body: a limit of 0 refuses every request\n    leave it out for 16MiB",
    ),
]


@pytest.mark.parametrize(("text", "error"), CASES, ids=[error.partition(":")[0] for _, error in CASES])
def test_the_problem_is_named_with_its_place_and_remedy(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={}, directory=tmp_path)
    assert str(caught.value) == f"{path}: {error}"
    assert "secret" not in str(caught.value)


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_mapping(
            {
                "policy": "none",
                "timeouts": {"connect": 0},
                "vendors": [
                    {"name": "a", "models": [{"name": "m"}]},
                    {"name": "a", "simulate": {}, "models": [{"name": "m", "limits": {"concurrent": 0}}]},
                ],
                "routes": [{"name": "m", "targets": ["b/m"], "policy": "best"}],
                "rules": [{"policy": "worst"}],
            }
        )
    assert [problem.path for problem in caught.value.problems] == [
        "timeouts.connect",
        "routes[0] (m).name",
        "vendors[0] (a).base_url",
        "vendors[1] (a).name",
        "vendors[1] (a).models[0] (m).limits.concurrent",
        "policy",
        "routes[0] (m).targets[0]",
        "rules[0].policy",
    ]
    assert all(problem.file == "" and problem.remedy for problem in caught.value.problems)


def test_each_table_of_a_wrong_shape_is_reported() -> None:
    with pytest.raises(ConfigError) as caught:
        load_mapping(
            {
                "servr": {},
                "server": {"port": "x"},
                "vendors": [{"name": "a"}, {"nam": "b"}, {"name": "c", "serve": "maybe"}],
                "modes": {"fast": {}, "slow": {"policy": 1}},
            }
        )
    assert [str(problem) for problem in caught.value.problems] == [
        "servr: unknown key\n    did you mean `server`?",
        "server.port: expected a whole number, got text",
        "vendors[1].nam: unknown key\n    did you mean `name`?",
        "vendors[2] (c).serve: 'maybe' is not one of always, never, when_alone, with_key\n"
        "    one of: always, never, when_alone, with_key",
        "modes.fast.policy: is missing\n    add `policy = ...`",
        "modes.slow.policy: expected text, got a whole number",
    ]


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:11434/v1",
        "http://localhost:8000",
        "http://[::1]:8000",
        "http://10.1.2.3/v1",
        "http://vllm:8000/v1",
        "https://models.corp.internal",
    ],
)
def test_a_server_of_ones_own_needs_no_key(base_url: str) -> None:
    config = load_mapping({"vendors": [{"name": "a", "base_url": base_url, "models": [{"name": "m"}]}]})
    assert config.vendors[0].base_url == base_url


def test_a_credential_among_the_headers_will_do_for_a_key() -> None:
    vendor = {"name": "a", "base_url": "https://a.example", "models": [{"name": "m"}]}
    with pytest.raises(ConfigError, match="needs a key"):
        load_mapping({"vendors": [vendor]})
    load_mapping({"vendors": [{**vendor, "headers": {"Authorization": "Bearer x"}}]})


def test_an_application_may_bring_policies_of_its_own(tmp_path: Path) -> None:
    load_mapping({"policy": "mine"}, policies={"mine", "priority", "fastest", "best", "cheapest", "balanced"})
    path = tmp_path / "c.json"
    path.write_text('{"policy": "mine"}')
    assert load(path, environ={}, directory=tmp_path, policies=["mine"]).config.policy == "mine"
    with pytest.raises(ConfigError, match="no policy is called 'mine'"):
        load(path, environ={}, directory=tmp_path)


def test_numbers_may_come_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[server]\nport = "${PORT:-4000}"\n[timeouts]\ntotal = "${TOTAL:-10m}"\n')
    config = load(path, environ={"PORT": "80"}, directory=tmp_path).config
    assert config.server.port == 80
    assert config.timeouts.total == Seconds(600)
    with pytest.raises(ConfigError, match="expected a whole number, got text"):
        load(path, environ={"PORT": "eighty"}, directory=tmp_path)


def test_the_error_survives_a_trip_between_processes() -> None:
    with pytest.raises(ConfigError) as caught:
        load_mapping({"x": 1})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.problems) == (str(caught.value), caught.value.problems)


def test_a_message_about_text_that_no_terminal_takes_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "dispatcher.json"
    path.write_text('{"vendors": [{"name": "\\ud800"}]}')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "\\ud800" in str(caught.value).encode().decode()
