"""Three formats, one configuration; and what is not well written says where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from llm_dispatcher.runtime.config import DEFAULT_FILE, Config, ConfigError, Loaded, load
from llm_dispatcher.runtime.config.sources import read


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_reads_the_same_as_toml_yaml_and_json(tmp_path: Path) -> None:
    values = tomli.loads(DEFAULT_FILE.read_text("utf-8"))
    files = [
        DEFAULT_FILE,
        write(tmp_path, "same.json", json.dumps(values)),
        write(tmp_path, "same.yaml", yaml.safe_dump(values)),
        write(tmp_path, "same.yml", yaml.safe_dump(values)),
    ]
    environ = {"OPENAI_API_KEY": "sk-1"}
    configs = [load(file, environ=environ, directory=tmp_path).config for file in files]
    assert all(config == configs[0] for config in configs)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("c.toml", "a = 1\nb = = 2", "line 2, column 5: Invalid value"),
        ("c.toml", "[server]\nport = 1\nport = 2\n", "line 3, column 9: Cannot overwrite a value"),
        ("c.toml", "a = " + "[" * 20_000, "nested too deeply"),
        ("c.json", '{"a": 1,\n "b": }', "line 2, column 7: Expecting value"),
        ("c.json", '{"a": 1,\n "b": {"c": 1, "c": 2}}', 'line 2, column 16: the key "c" is given twice'),
        ("c.json", '{"a": NaN}', "NaN is not JSON"),
        ("c.json", "[" * 100_000, "nested too deeply"),
        ("c.json", "[]", "the file holds a list, not a table of keys and values"),
        ("c.yaml", "a: 1\nb: [", "line 2, column 5: expected the node content, but found '<stream end>'"),
        ("c.yaml", "a: 1\nb:\n  c: 1\n  c: 2\n", "line 4, column 3: the key 'c' is given twice"),
        ("c.yaml", "a: \x07", "line 1, column 4: the character 7 is not allowed in YAML"),
        ("c.yaml", "!!python/object:os.system {}", None),
        (
            "c.yaml",
            "a: 1\nb: !!bool maybe",
            "line 2, column 4: the value does not fit its tag 'tag:yaml.org,2002:bool'",
        ),
        ("c.yaml", "a: !!int", "line 1, column 4: the value does not fit its tag 'tag:yaml.org,2002:int'"),
        (
            "c.yaml",
            "a: !!float ''",
            "line 1, column 4: the value does not fit its tag 'tag:yaml.org,2002:float'",
        ),
        (
            "c.yaml",
            "a: !!timestamp soon",
            "line 1, column 4: the value does not fit its tag 'tag:yaml.org,2002:timestamp'",
        ),
        ("c.yaml", "a: !!set\n- {b: c}", "line 1, column 4: expected a mapping node, but found sequence"),
        ("c.yaml", "a: !!map [[b, c]]", "line 1, column 4: expected a mapping node, but found sequence"),
        ("c.yaml", "just text", "the file holds a str, not a table of keys and values"),
        ("c.ini", "a=1", "unknown kind of file '.ini'\n    name it .toml, .yaml, .yml or .json"),
    ],
)
def test_what_is_not_well_written_says_where(tmp_path: Path, name: str, text: str, error: str | None) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    if error is not None:
        assert str(caught.value) == f"{path}: {error}"


def test_an_empty_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert read(write(tmp_path, "c.yaml", "# nothing")) == {}
    assert read(write(tmp_path, "c.toml", "")) == {}


def test_a_file_that_is_not_text_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: line 2: byte 0xff is not UTF-8\n    save it as UTF-8"


def test_a_missing_file_and_a_directory_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "dir.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(tmp_path / "dir.toml")


def test_keys_of_a_yaml_file_are_text(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "server:\n  on: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={}, directory=tmp_path)
    assert str(caught.value) == f"{path}: server: the key True is not text\n    put it in quotes"


def test_yaml_anchors_may_be_used(tmp_path: Path) -> None:
    text = "server: &s {port: 1}\nlogging:\n  <<: {level: debug}\n  format: text\n"
    config = load(write(tmp_path, "c.yaml", text), environ={}, directory=tmp_path).config
    assert (config.server.port, config.logging.level, config.logging.format) == (1, "debug", "text")


WITHOUT = """
import sys
sys.modules["rich"] = sys.modules["yaml"] = None
from llm_dispatcher.runtime.config import load, ConfigError
load(environ={}, directory=sys.argv[1])
try:
    load("c.yaml", environ={}, directory=sys.argv[1])
except ConfigError as error:
    print(error)
"""


def test_neither_rich_nor_yaml_is_needed_to_load_toml(tmp_path: Path) -> None:
    path = write(tmp_path, "c.yaml", "{}")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f"{path}: YAML needs a further package\n    pip install 'llm-dispatcher[yaml]', or write TOML\n"
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["server", "timeouts", "vendors", "routes", "modes", "rules", "policy", "retry", "x"])
INNER = st.sampled_from(
    ["name", "models", "api_key", "price", "headers", "targets", "port", "connect", "policy"]
)
TABLES = st.dictionaries(INNER, VALUES | st.dictionaries(INNER, VALUES, max_size=3), max_size=4)
CONFIGURATIONS = st.dictionaries(KEYS, VALUES | TABLES | st.lists(TABLES, max_size=3), max_size=4)
LINES = st.sampled_from(
    ["[server]", "[[vendors]]", "a: 1", "- a", "{", "}", '"a": "b"', "port = 1", "&a [*a]", "a = '"]
)
CONTENTS = st.binary() | st.lists(LINES).map(lambda lines: "\n".join(lines).encode())
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def loaded_or_error(path: Path) -> Loaded | ConfigError:
    try:
        return load(path, environ={}, directory=path.parent)
    except ConfigError as error:
        return error


@FUZZ
@given(CONFIGURATIONS)
@example({"vendors": [{"name": "\ud800"}]})
@example({"timeouts": {"connect": 10**400}})
@example({"vendors": [{"name": "a", "base_url": "http://[", "proxy": "http://x:y"}]})
def test_any_data_is_a_configuration_or_a_config_error(tmp_path: Path, values: dict[str, Any]) -> None:
    path = write(tmp_path, "c.json", json.dumps(values))
    outcome = loaded_or_error(path)
    if isinstance(outcome, ConfigError):
        assert outcome.problems
        assert all(str(path) == problem.file and problem.message for problem in outcome.problems)
    else:
        assert isinstance(outcome.config, Config)


@FUZZ
@given(st.sampled_from(["c.toml", "c.yaml", "c.json"]), CONTENTS)
def test_any_bytes_are_a_configuration_or_a_config_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    outcome = loaded_or_error(path)
    assert outcome.problems if isinstance(outcome, ConfigError) else outcome.file == path
