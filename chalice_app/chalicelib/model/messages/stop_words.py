"""STOP and its kin: the words with which a contact ends and resumes automatic answers. Pure.

A word counts if it is the whole message: "please stop by at 5" is none. Contacts write in any of the languages that the
product knows, whatever the tenant's is: a word that stops in one of them is no ordinary message in another.
"""

import unicodedata
from typing import Final

#: By language, as ``_normalized`` returns them: without case, accents, punctuation and emoji. Left out are words that
#: are as often an answer to a question: "basta", "alto", "chega", "cancel", "quit", "end", "no".
STOP_WORDS: Final = {
    "en": "stop, stop it, stopall, stop all, please stop, stop please, stop bot, stop messaging me, stop writing me, "
    "stop texting me, stop sending me messages, stop the bot, unsubscribe, unsubscribe me, "
    "opt out, optout, no more messages, remove me",
    "de": "stopp, bitte stop, bitte stopp, stop bitte, stopp bitte, bot stop, bot stopp, bot aus, bot stoppen, "
    "abmelden, abbestellen, austragen, aufhoren, aufhoeren, bitte aufhoren, bitte aufhoeren, "
    "hor auf, hoer auf, horen sie auf, hoeren sie auf, keine nachrichten mehr",
    "es": "parar, para el bot, detener, baja, darme de baja, dar de baja, cancelar suscripcion, no mas mensajes, "
    "no me escribas mas, no me escriban mas, deja de escribirme, dejen de escribirme, para por favor, detente, "
    "stop por favor",
    "pt": "pare, parem, parar, pare por favor, por favor pare, sair, sair da lista, descadastrar, desinscrever, "
    "cancelar inscricao, sem mais mensagens, nao quero mais mensagens, parar bot, "
    "pare de me enviar mensagens, parem de me enviar mensagens, stop por favor",
    "fr": "arret, arreter, arretez, arrete, arretez svp, stop svp, stop s il vous plait, desabonner, se desabonner, "
    "me desabonner, desabonnement, desinscrire, se desinscrire, me desinscrire, desinscription, "
    "ne m ecrivez plus, arretez de m ecrire, arrete de m ecrire, plus de messages",
}

#: The words that resume automatic answers, by language; they say nothing in a chat that is not stopped.
RESUME_WORDS: Final = {
    "en": "start, unstop, resume, subscribe, opt in, optin, start bot",
    "de": "starten, weiter, fortsetzen, anmelden, bot an, bot starten",
    "es": "iniciar, empezar, comenzar, continuar, reanudar, alta",
    "pt": "iniciar, comecar, continuar, retomar",
    "fr": "demarrer, commencer, reprendre, continuer",
}

_STOP, _RESUME = (
    frozenset(word for words in table.values() for word in words.split(", ")) for table in (STOP_WORDS, RESUME_WORDS)
)
#: No word of the tables is nearly as long: a longer text is not looked at.
_MAX_CHARACTERS = 100


def is_stop(text: str) -> bool:
    """True if the whole message asks to end automatic answers."""
    return len(text) <= _MAX_CHARACTERS and _normalized(text) in _STOP


def is_resume(text: str) -> bool:
    """True if the whole message asks to resume automatic answers."""
    return len(text) <= _MAX_CHARACTERS and _normalized(text) in _RESUME


def _normalized(text: str) -> str:
    """Returns the words of a text, each once: letters and digits alone, without case and accents, a blank between."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(
        each if each.isalnum() else "" if unicodedata.category(each) in ("Mn", "Cf", "Me") else " "
        for each in decomposed
    )
    return " ".join(dict.fromkeys(letters.split()))
