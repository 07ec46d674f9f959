import pytest

from spot import InvalidArgument
from spot.program.settings import JOURNAL_STDOUT, ProgramSettings


def test_settings_of_an_empty_environment_are_the_documented_defaults() -> None:
    """A person who runs `spot node` without anything must see records and a readable log."""
    settings = ProgramSettings.from_env({})
    assert settings.rate == 0
    assert settings.payload_bytes == 64
    assert settings.journal == JOURNAL_STDOUT
    assert settings.control is None
    assert settings.log_format == "text"
    assert settings.config.log_level == "info"


def test_settings_reach_both_the_node_and_the_program() -> None:
    """One environment configures a container; a variable that nobody reads is lost silently."""
    settings = ProgramSettings.from_env(
        {
            "SPOT_NODE_ID": "a",
            "SPOT_TOPICS": "x,y",
            "SPOT_LOG_LEVEL": "debug",
            "SPOT_RATE": "2.5",
            "SPOT_PUBLISH": "z, w",
            "SPOT_PAYLOAD_BYTES": "9",
            "SPOT_JOURNAL": "a.jsonl",
            "SPOT_CONTROL": "a.sock",
            "SPOT_LOG_FORMAT": "json",
        }
    )
    assert settings.config.node_id == "a"
    assert settings.config.topics == ("x", "y")
    assert settings.config.log_level == "debug"
    assert (settings.rate, settings.payload_bytes) == (2.5, 9)
    assert (settings.journal, settings.control) == ("a.jsonl", "a.sock")
    assert settings.publish == ("z", "w")
    assert settings.log_format == "json"


def test_settings_that_are_set_but_empty_count_as_unset() -> None:
    """Compose files pass on variables that are not set as empty ones."""
    settings = ProgramSettings.from_env(
        {"SPOT_RATE": "", "SPOT_CONTROL": " ", "SPOT_LOG_LEVEL": ""}
    )
    assert settings.rate == 0
    assert settings.control is None
    assert settings.config.log_level == "info"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SPOT_RATE", "often"),
        ("SPOT_RATE", "-1"),
        ("SPOT_RATE", "nan"),
        ("SPOT_PAYLOAD_BYTES", "1.5"),
        ("SPOT_PAYLOAD_BYTES", "99999999999"),
        ("SPOT_LOG_FORMAT", "xml"),
        ("SPOT_PUBLISH", "a,b*"),
        ("SPOT_PEER_TIMEOUT", "soon"),
    ],
)
def test_settings_that_are_wrong_are_named_with_their_value(variable: str, text: str) -> None:
    """Whoever mistypes one of thirty variables must be told which."""
    with pytest.raises(InvalidArgument) as error:
        ProgramSettings.from_env({variable: text})
    assert variable in str(error.value)
    assert text in str(error.value)
