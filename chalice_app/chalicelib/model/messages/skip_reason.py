"""The reasons why a message gets no reply or a turn is not sent."""

from chalicelib.model.stored_enum import StoredEnum
from wire import MessageKind


class SkipReason(StoredEnum):
    """The reason why a message gets no reply or a turn is not sent. The values are stored."""

    BROADCAST = "broadcast"  #: it went to a broadcast list, a status or a channel
    NOT_A_PERSON = "not a person"  #: an account or assistant of WhatsApp, a company's (``@hosted``), or our own chat
    HISTORY = "history"  #: it was written before this login was linked
    GROUP = "group"  #: it was written in a group, and the line does not answer groups
    NOT_MENTIONED = "not mentioned"  #: it was written in a group, and the line answers there only when mentioned
    SAVED_CONTACT = "saved contact"  #: the contact is saved in the phone, and the line answers only others
    OLDER_CHAT = "chat from before the linking"  #: the line answers only chats that began after it was linked
    IGNORED_CONTACT = "ignored contact"  #: the tenant's policies name this phone as one that gets no answer
    NOT_ALLOWED = "not an allowed contact"  #: the policies name the phones that get an answer, and not this one
    TOO_OLD = "too old"  #: see ``MAX_MESSAGE_AGE``
    NOT_DECRYPTED = "not decrypted yet"  #: its text is not readable yet; the runner hands it in again once it is
    NEVER_DECRYPTED = "not decrypted"  #: its text was not readable for ten minutes; answered if it is within 12 hours
    DELETED = "deleted"  #: its author deleted it for everyone
    STOPPED = "stopped by the contact"  #: the contact wrote STOP; see ``model/messages/stop_words.py``
    AUTOMATIC = "automatic message"  #: the WhatsApp Business app sent it by itself: neither a contact's nor a takeover
    NO_TEXT_BLANK = "no text (text)"  #: a text that shows nothing: white space, invisible signs
    NO_TEXT_IMAGE = "no text (image)"  #: an image without a caption
    NO_TEXT_VOICE = "no text (voice)"  #: a voice message
    NO_TEXT_AUDIO = "no text (audio)"  #: an audio file
    NO_TEXT_VIDEO = "no text (video)"  #: a video without a caption
    NO_TEXT_DOCUMENT = "no text (document)"  #: a file without a caption
    NO_TEXT_STICKER = "no text (sticker)"  #: a sticker
    NO_TEXT_LOCATION = "no text (location)"  #: a location without a comment
    NO_TEXT_CONTACT_CARD = "no text (contact_card)"  #: the card of a contact
    NO_TEXT_OTHER = "no text (other)"  #: a kind of message that the line cannot read
    PAUSED = "paused"  #: the operator paused the tenant
    TAKEOVER = "takeover"  #: the owner answers this chat from the phone
    HANDED_IN_BEFORE = "handed in before"  #: the same message was stored already
    DISCONNECTED = "while disconnected"  #: it came while no account was linked; a person may have it answered
    OTHER_LOGIN = "another login"  #: it came to an earlier login, perhaps of another account
    BOT_LOOP = "two bots talk"  #: see ``model/turn_rules/bot_loop.py``
    CHANGED_TOO_OFTEN = "changed too often"  #: the contact went on editing or deleting what the turn answers
    DAILY_CAP = "daily cap"  #: this contact got the replies of one day
    EMPTY_REPLY = "empty reply"  #: nothing is left of the model's text once it is formatted for WhatsApp
    REFUSED = "refusal"  #: the model refused to answer
    FILTERED = "content_filter"  #: OpenAI's content filter stopped the answer
    WROTE_NOTHING = "empty"  #: the model wrote nothing, however often it was asked
    GIVEN_UP = "given up"  #: OpenAI will not answer this message; the log has its code
    MODEL_UNAVAILABLE = "the model did not answer"  #: see ``MAX_MODEL_ATTEMPTS``
    REPLY_FAILED = "an error in Answerline"  #: the model answered, and an error of ours lost the reply, three times
    NOT_ACCEPTED = "not accepted by WhatsApp"  #: WhatsApp refused a part of the reply, however often it was sent
    UNKNOWN = "unknown"  #: written by a later release: not answered

    @property
    def keeps_content(self) -> bool:
        """False where the line may not answer: of such a message nothing is kept but id, time, kind and reason."""
        return self not in _WITHOUT_CONTENT

    @classmethod
    def no_text(cls, kind: MessageKind) -> "SkipReason":
        """Returns the reason to skip a message of this kind that carries no text."""
        return cls(f"no text ({kind})")


_WITHOUT_CONTENT = frozenset(
    {
        SkipReason.BROADCAST,
        SkipReason.NOT_A_PERSON,
        SkipReason.HISTORY,
        SkipReason.GROUP,
        SkipReason.NOT_MENTIONED,
        SkipReason.SAVED_CONTACT,
        SkipReason.OLDER_CHAT,
        SkipReason.IGNORED_CONTACT,
        SkipReason.NOT_ALLOWED,
        SkipReason.PAUSED,
        SkipReason.UNKNOWN,
    }
)
#: The reasons of messages without words …
SAID_NOTHING = frozenset(each for each in SkipReason if each.value.startswith("no text ("))
#: … and of those among them that show or play something which the line cannot read.
WITHOUT_WORDS = SAID_NOTHING - {SkipReason.NO_TEXT_BLANK}
