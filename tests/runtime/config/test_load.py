"""Which file is read, and whose variables count."""

from __future__ import annotations

from pathlib import Path

import pytest
from llm_dispatcher.runtime.config import DEFAULT_FILE, ConfigError, load, load_mapping


def config_file(directory: Path, name: str, port: str) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f'[server]\nport = "{port}"\n', encoding="utf-8")
    return path


def test_the_file_that_is_named_comes_first(tmp_path: Path) -> None:
    config_file(tmp_path, "dispatcher.toml", "1")
    config_file(tmp_path, "named.toml", "2")
    config_file(tmp_path, "environment.toml", "3")
    environ = {"LLM_DISPATCHER_CONFIG": "environment.toml"}
    named = load("named.toml", environ=environ, directory=tmp_path)
    assert (named.config.server.port, named.file) == (2, tmp_path / "named.toml")
    assert load(environ=environ, directory=tmp_path).config.server.port == 3
    assert load(environ={}, directory=tmp_path).config.server.port == 1


def test_without_any_file_the_packaged_default_is_used(tmp_path: Path) -> None:
    loaded = load(environ={}, directory=tmp_path)
    assert loaded.packaged
    assert loaded.file == DEFAULT_FILE
    assert not load(config_file(tmp_path, "c.toml", "1"), environ={}, directory=tmp_path).packaged


def test_a_named_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={"LLM_DISPATCHER_CONFIG": "gone.toml"}, directory=tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'gone.toml'}: no such file\n    correct or unset LLM_DISPATCHER_CONFIG, which names it"
    )
    with pytest.raises(ConfigError, match="no such file"):
        load("gone.toml", environ={}, directory=tmp_path)


def test_the_environment_goes_before_the_files_and_the_nearer_file_before_the_other(tmp_path: Path) -> None:
    beside = tmp_path / "etc"
    path = config_file(beside, "c.toml", "${A}${B}${C}")
    (beside / ".env").write_text("A=7\nB=2\n")
    (tmp_path / ".env").write_text("A=8\nB=8\nC=3\n")
    loaded = load(path, environ={"A": "1"}, directory=tmp_path)
    assert loaded.config.server.port == 123
    assert loaded.env_files == (beside / ".env", tmp_path / ".env")


def test_a_broken_env_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("what?\n")
    with pytest.raises(ConfigError, match="line 1: not of the form NAME=value"):
        load(environ={}, directory=tmp_path)


def test_a_key_in_an_env_file_gets_its_vendor_served(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GEMINI_API_KEY=AIza-1\n")
    loaded = load(environ={}, directory=tmp_path)
    assert [vendor.name for vendor in loaded.serving.vendors] == ["google"]


def test_a_mapping_is_taken_literally() -> None:
    vendor = {"name": "a", "simulate": {}, "headers": {"x": "${HOME}"}, "models": [{"name": "m"}]}
    assert load_mapping({"vendors": [vendor]}).vendors[0].headers == {"x": "${HOME}"}
