"""An estimate of the tokens of a text, rather too high: a tokenizer would cost more to load than it saves. Pure."""

#: A token is about four ASCII characters of running text …
ASCII_PER_TOKEN = 4
#: … and two UTF-8 bytes of anything else: a Cyrillic or Arabic letter is one token, a Chinese sign 1.5, an emoji two.
OTHER_BYTES_PER_TOKEN = 2


def estimate_tokens(text: str) -> int:
    """Returns about how many tokens a model reads, at least one for a text that is not empty."""
    return -(-_quarters(text) // ASCII_PER_TOKEN)


def last_tokens(text: str, tokens: int) -> str:
    """Returns the end of a text that has at most so many tokens by the same estimate."""
    room = tokens * ASCII_PER_TOKEN
    for position in range(len(text) - 1, -1, -1):
        room -= _quarters(text[position])
        if room < 0:
            return text[position + 1 :]
    return text


def _quarters(text: str) -> int:
    """Returns the estimate in quarters of a token, so that a text costs what its characters cost."""
    ascii_count = sum(character.isascii() for character in text)
    other_bytes = len(text.encode("utf-8", "surrogatepass")) - ascii_count
    return ascii_count + other_bytes * ASCII_PER_TOKEN // OTHER_BYTES_PER_TOKEN
