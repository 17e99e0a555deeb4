"""The command line: what it prints where, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from llm_dispatcher.runtime.cli import main
from llm_dispatcher.runtime.config import load
from llm_dispatcher.runtime.config.catalogue import catalogue

GOOD = """
[[vendors]]
name = "acme"
models = [{ name = "small", context = "32k", price = { input = 1, output = 2 } }, { name = "large" }]
simulate = { first_token = 0, tokens_per_second = 1e6, seed = 4 }

[[vendors]]
name = "absent"
base_url = "https://absent.invalid/v1"
serve = "with_key"
api_key = "${TEST_CLI_NOT_SET}"
models = [{ name = "elsewhere" }]

[[routes]]
name = "default"
targets = ["acme/large", "acme/small"]
"""

COMMANDS = [
    "serve",
    "check",
    "chat",
    "models",
    "vendors",
    "features",
    "status",
    "order",
    "faults",
    "simulate-vendor",
    "bench",
]

BROKEN = GOOD.replace("first_token = 0", "first_token = 0, faults = { server_error = 1.0 }")


@pytest.fixture
def good(tmp_path: Path) -> str:
    return written(tmp_path, GOOD)


def written(folder: Path, text: str) -> str:
    file = folder / "dispatcher.toml"
    file.write_text(text)
    return str(file)


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=typed, catch_exceptions=False)


# --- help and version ---------------------------------------------------------------------------


def test_help_names_every_command_and_shows_how_to_begin() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert set(main.commands) == set(COMMANDS)
    for name in main.commands:
        assert f"\n  {name} " in result.stdout
    assert 'llm-dispatcher chat "Why is the sky blue?"' in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_commands_help_has_examples_and_explains_its_options(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Examples:\n    llm-dispatcher {command}" in result.stdout
    options = [each for each in main.commands[command].params if isinstance(each, click.Option)]
    assert all(option.help for option in options)


def test_version_is_one_line() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("llm-dispatcher ")
    assert result.stdout.count("\n") == 1


def test_help_needs_neither_trio_nor_httpx_nor_msgspec() -> None:
    code = (
        "import sys; from llm_dispatcher.runtime.cli import main; main(['--help'], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('trio', 'httpx', 'msgspec', 'rich')))"
    )
    # The source folders may be importable by path alone.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0


# --- check --------------------------------------------------------------------------------------


def test_check_shows_who_is_served_and_why_others_are_not(good: str) -> None:
    result = run("check", good)
    assert result.exit_code == 0
    assert "acme/small" in result.stdout
    assert "set TEST_CLI_NOT_SET" in result.stdout


def test_check_of_the_packaged_default_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_DISPATCHER_CONFIG", raising=False)
    assert run("check").exit_code == 0


def test_check_can_speak_json(good: str) -> None:
    result = run("check", good, "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["ok"] is True
    assert [vendor["name"] for vendor in told["vendors"]] == ["acme", "absent"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (GOOD.replace("context", "contekst"), "contekst"),
        (GOOD.replace("acme/large", "acme/huge"), "no model 'huge'"),
        (GOOD.replace("first_token = 0", "first_token = 'soon'"), "first_token"),
        ("[[vendors", "dispatcher.toml"),
    ],
)
def test_check_of_a_bad_file_names_the_place_on_standard_error_and_exits_with_2(
    tmp_path: Path, text: str, place: str
) -> None:
    file = written(tmp_path, text)
    result = run("check", file)
    assert result.exit_code == 2
    assert place in result.stderr
    assert "1 problem in the configuration" in result.stderr
    assert result.stdout == ""
    as_json = run("check", file, "--json")
    told = json.loads(as_json.stdout)
    assert as_json.exit_code == 2
    assert told["ok"] is False
    assert len(told["problems"]) == 1


@pytest.mark.parametrize("command", [["check"], ["models", "--config"], ["chat", "hello", "--config"]])
def test_a_file_that_is_not_there_is_an_error_of_the_configuration(
    tmp_path: Path, command: list[str]
) -> None:
    missing = str(tmp_path / "nowhere.toml")
    result = run(*command, missing)
    assert result.exit_code == 2
    assert missing in result.stderr


# --- models -------------------------------------------------------------------------------------


def test_models_tells_what_a_model_does_beside_chatting(tmp_path: Path) -> None:
    file = tmp_path / "dispatcher.toml"
    models = """[
        { name = "both", operations = ["chat", "completions"], price = { input = 1, output = 2 } },
        { name = "vectors", operations = ["embeddings"], price = { input = 1 } },
    ]"""
    file.write_text(f'[[vendors]]\nname = "acme"\nsimulate = {{}}\nmodels = {models}\n', encoding="utf-8")
    rows = {
        line.split()[0]: line.split() for line in run("models", "--config", str(file)).stdout.splitlines()
    }
    assert rows["both"][1:6] == ["chat,", "completions", "128k", "1", "2"]
    assert rows["vectors"][1:5] == ["embeddings", "128k", "1", "acme/vectors"]


def test_models_lists_models_routes_and_modes_of_what_is_served(good: str) -> None:
    result = run("models", "--config", good)
    rows = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert result.exit_code == 0
    assert rows["small"].split() == [
        "small",
        "model",
        "32k",
        "1",
        "2",
        "acme/small",
        "(simulated)",
        "the",
        "configuration",
    ]
    assert rows["large"].split()[3:5] == ["?", "?"]
    assert rows["default"].split(maxsplit=2)[1:] == ["route", "priority: acme/large, acme/small"]
    assert rows["auto"].split()[1] == "mode"
    assert "elsewhere" not in result.stdout


# --- chat ---------------------------------------------------------------------------------------


def test_chat_prints_the_answer_and_about_it_on_standard_error(good: str) -> None:
    result = run("chat", "--config", good, "--model", "small", "How", "do", "otters", "sleep?")
    assert result.exit_code == 0
    assert "How do otters sleep?" in result.stdout
    assert result.stdout.count("\n") == 1
    assert result.stderr.startswith("acme/small | ")
    assert "tokens | $0.000" in result.stderr
    assert "1 attempt |" in result.stderr


def test_a_streamed_answer_is_the_same_text(good: str) -> None:
    asked = ["chat", "--config", good, "--model", "large", "Otters?"]
    whole, streamed = run(*asked), run(*asked, "--stream")
    assert streamed.exit_code == 0
    assert streamed.stdout == whole.stdout
    assert "cost unknown" in streamed.stderr


@pytest.mark.parametrize("text", [[], ["-"]])
def test_chat_reads_the_question_from_standard_input(good: str, text: list[str]) -> None:
    result = run("chat", "--config", good, "--model", "small", *text, typed="Otters, then?\n")
    assert result.exit_code == 0
    assert "Otters, then?" in result.stdout


def test_chat_without_any_question_is_a_mistake(good: str) -> None:
    result = run("chat", "--config", good, typed="  \n")
    assert result.exit_code == 2
    assert "no question" in result.stderr


def test_an_answer_that_was_cut_says_so(good: str) -> None:
    result = run("chat", "--config", good, "--model", "small", "--max-tokens", "3", "Otters?")
    assert "cut at the token limit" in result.stderr


def test_chat_can_speak_json(good: str) -> None:
    asked = ["chat", "--config", good, "--model", "small", "--json", "Otters?"]
    told = json.loads(run(*asked).stdout)
    assert "Otters?" in told["text"]
    assert told["vendor"] == "acme"
    lines = run(*asked, "--stream").stdout
    deltas = [json.loads(line)["text"] for line in lines.splitlines() if line.startswith('{"type":"text"')]
    assert "".join(deltas) == told["text"]


def test_chat_with_a_model_nobody_serves_says_so_and_exits_with_1(good: str) -> None:
    result = run("chat", "--config", good, "--model", "elsewhere", "Otters?")
    assert result.exit_code == 1
    assert result.stderr.startswith("UnknownModel: ")
    assert result.stdout == ""


@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_chat_with_a_vendor_that_fails_exits_with_1(tmp_path: Path, more: list[str]) -> None:
    text = BROKEN + "\n[retry.backoff]\nbase = 0\ncap = 0\n"
    result = run("chat", "--config", written(tmp_path, text), "--model", "small", "Otters?", *more)
    assert result.exit_code == 1
    assert "acme" in result.stderr


def test_a_duration_that_is_none_is_a_mistake(good: str) -> None:
    result = run("chat", "--config", good, "--timeout", "soon", "Otters?")
    assert result.exit_code == 2
    assert "'soon' is not a duration" in result.stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_chat_quietly_with_130(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD.replace("tokens_per_second = 1e6", "tokens_per_second = 0.01"))
    code = "from llm_dispatcher.runtime.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, "chat", "--stream", "--config", file, "--model", "small", "Otters?"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as chat:
        assert chat.stdout is not None
        assert chat.stdout.read(1)
        chat.send_signal(signal.SIGINT)
        _, about = chat.communicate(timeout=30)
    assert chat.returncode == 130
    assert about == b""


# --- faults -------------------------------------------------------------------------------------


def test_faults_prints_every_class_with_its_consequences() -> None:
    from llm_dispatcher.actors.faults import FaultClass

    result = run("faults")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    printed = {line.split()[0] for line in lines if line}
    assert {kind.value for kind in FaultClass} <= printed
    quota = next(line for line in lines if line.startswith("quota_exhausted "))
    assert "account" in quota
    assert "15 min doubling to 6 h" in quota
    assert quota.endswith("house   503")


def test_faults_as_json_has_the_rows_that_a_status_changes() -> None:
    classes = json.loads(run("faults", "--json").stdout)["classes"]
    money = {row["status"]: row["money"] for row in classes if row["class"] == "server_error"}
    assert (money[None], money[500], money[504]) == ("unknown", "none", "unknown")


def test_faults_explains_a_pasted_answer() -> None:
    result = run("faults", "429", '{"error": {"code": "insufficient_quota", "message": "pay"}}')
    assert result.exit_code == 0
    assert result.stdout.startswith("quota_exhausted\n")
    assert "status 429 and the word 'insufficient_quota', as said by OpenAI" in result.stdout
    assert "account" in result.stdout


def test_faults_reads_headers_the_body_from_standard_input_and_the_vendors_own_word(good: str) -> None:
    arguments = ("--config", good, "--vendor", "acme", "-H", "Retry-After: 7", "-H", "x-should-retry:false")
    result = run("faults", *arguments, "429", "-", typed='{"error": "slow down"}')
    assert result.stdout.startswith("rate_limited\n")
    assert "no, by the vendor's own word" in result.stdout
    assert "7 s" in result.stdout


def test_faults_finds_the_error_within_an_answer_of_status_200() -> None:
    told = json.loads(run("faults", "--json", "200", '{"error": {"code": 503, "message": "busy"}}').stdout)
    assert told["fault"]["kind"] == "overloaded"
    assert told["consequence"]["http"] == 503


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("200", '{"choices": []}'), "an answer and no failure"),
        (("429", "--dialect", "klingon"), "no dialect 'klingon'"),
        (("429", "-H", "nonsense"), "is not NAME:VALUE"),
        (("429", "--dialect", "openai", "--vendor", "x"), "exclude each other"),
        (("99",), "not in the range"),
    ],
)
def test_faults_says_what_it_cannot_explain(arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(main, ("faults", *arguments))
    assert result.exit_code == 2
    assert words in result.stderr


def test_faults_names_the_configured_vendors_when_one_is_unknown(good: str) -> None:
    result = CliRunner().invoke(main, ("faults", "--config", good, "--vendor", "nobody", "429"))
    assert result.exit_code == 2
    assert "configured are acme, absent" in result.stderr


# --- vendors ------------------------------------------------------------------------------------


def test_vendors_lists_who_is_known_by_name_and_the_variables_of_their_keys() -> None:
    result = run("vendors")
    assert result.exit_code == 0
    for word in (
        "groq",
        "GROQ_API_KEY",
        "https://api.groq.com/openai/v1",
        "HF_TOKEN or",
        "done_marker = false",
    ):
        assert word in result.stdout


def test_vendors_can_speak_json() -> None:
    told = json.loads(run("vendors", "--json").stdout)
    assert told["mistral"]["options"]["seed_field"] == "random_seed"
    assert json.loads(run("vendors", "mistral", "--json").stdout) == told["mistral"]


@pytest.mark.parametrize("name", catalogue())
def test_the_table_that_vendors_prints_can_be_pasted_and_so_can_its_comments(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalogue()[name]
    for variable in (*entry.keys, "AZURE_OPENAI_ENDPOINT", "AZURE_AI_ENDPOINT", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.setenv(variable, "https://a.example.com")
    text = run("vendors", name).stdout
    in_full = re.sub(r"^#(?=[a-z])", "", text, flags=re.MULTILINE)
    vendors = [load(written(tmp_path, each)).config.vendors for each in (text, in_full)]
    assert vendors[0] == vendors[1]
    assert [(vendor.name, [model.name for model in vendor.models]) for vendor in vendors[0]] == [
        (name, [model["name"] for model in entry.models or [{"name": entry.model}]])
    ]


def test_vendors_of_an_unknown_name_says_what_may_have_been_meant() -> None:
    result = run("vendors", "mistrel")
    assert result.exit_code == 2
    assert "did you mean `mistral`?" in result.stderr


def test_the_table_of_a_vendor_says_what_its_models_cost_and_who_says_so() -> None:
    pytest.importorskip("genai_prices")
    groq = run("vendors", "groq").stdout
    assert "as published (genai-prices " in groq
    assert "#   llama-3.3-70b-versatile: 0.59, 0.79\n" in groq
    assert "#   gpt-6-luna: 0.1, 0.5; more above 272,000 tokens of input\n" in run("vendors", "openai").stdout
    assert "#   Qwen/Qwen3-32B: not known" in run("vendors", "vllm").stdout
