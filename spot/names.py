"""Which topics, patterns, node ids and cluster names are valid."""

from __future__ import annotations

import unicodedata

from spot.errors import InvalidArgument

TOPIC_BYTES_MAX = 255
WORD_BYTES_MAX = 255


def _check(kind: str, value: object, bytes_max: int) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"{kind} must be a str, not {type(value).__name__}: {value!r:.80}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"{kind} {value!r:.80} can't be encoded as UTF-8") from error
    if not 1 <= size <= bytes_max:
        raise InvalidArgument(
            f"{kind} {value!r:.80} has {size} bytes of UTF-8: it must have 1 to {bytes_max}"
        )
    if not value.isprintable():
        for char in value:
            if unicodedata.category(char) == "Cc":
                raise InvalidArgument(
                    f"{kind} {value!r:.80} contains the control character {char!r}"
                )
    return value


def check_topic(topic: object) -> str:
    """Returns the topic. It must be 1 to 255 bytes of UTF-8 without control characters or ``*``.

    Raises InvalidArgument if it is not.
    """
    text = _check("topic", topic, TOPIC_BYTES_MAX)
    if "*" in text:
        raise InvalidArgument(f"topic {text!r} contains '*': use subscribe_pattern for patterns")
    return text


def check_pattern(pattern: object) -> str:
    """Returns the pattern. It must be 1 to 255 bytes of UTF-8 without control characters.

    Raises InvalidArgument if it is not.
    """
    return _check("pattern", pattern, TOPIC_BYTES_MAX)


def check_word(kind: str, word: object) -> str:
    """Returns a node id or cluster name. It must be 1 to 255 bytes of UTF-8 without control
    characters, white space or commas.

    Raises InvalidArgument if it is not.
    """
    text = _check(kind, word, WORD_BYTES_MAX)
    if any(char.isspace() or char == "," for char in text):
        raise InvalidArgument(f"{kind} {text!r} contains white space or a comma")
    return text
