"""The fixed sentences: replies that no model writes. Their texts are in ``rendering/locales/``."""

from chalicelib.model.stored_enum import StoredEnum


class FixedSentence(StoredEnum):
    """A reply that no model writes; the contact reads it in the tenant's language."""

    STOPPED = "stopped"  #: the contact said STOP: nothing is answered until START
    NO_PICTURES = "no_pictures"  #: the line cannot see pictures, videos and stickers
    NO_SOUND = "no_sound"  #: the line cannot listen to voice messages and other recordings
    NO_WORDS = "no_words"  #: the line cannot read this kind of message
    UNKNOWN = "unknown"  #: written by a later release
