"""STOP and its kin count as the whole message only, in each language of the product."""

import pytest

from chalicelib.model.messages.stop_words import RESUME_WORDS, STOP_WORDS, _normalized, is_resume, is_stop
from chalicelib.rendering.languages import LANGUAGES

STOPS = [
    *(
        "STOP",
        "stop",
        " Stop! ",
        "stop.",
        "*STOP*",
        "STOP 🛑",
        "🛑 Stop 🙏🏽",
        "«Stop»",
        "Stop\n",
        "ＳＴＯＰ",
        "Stop it!",
    ),
    *("Stop it!", "STOP\u200b", "\u200eSTOP\u200f", "STOP ALL", "please, stop", "Unsubscribe", "opt-out"),
    *("Stopp", "Bitte stopp!", "Hör auf!", "hor auf", "Hören Sie auf.", "Abmelden", "keine Nachrichten mehr"),
    *("PARAR", "Baja", "Darme de baja", "no más mensajes", "No me escriban más."),
    *("Pare!", "sair", "não quero mais mensagens", "Cancelar inscrição"),
    *("STOP STOP STOP", "Unsubscribe me", "Hoer auf!", "Bitte aufhören", "Para, por favor", "Deja de escribirme"),
    *("Pare de me enviar mensagens", "Se désinscrire", "Ne m’écrivez plus !"),
    *("Arrêt", "ARRÊTER", "Arrêtez !", "arretez svp", "Désabonner", "se désabonner", "Stop, s’il vous plaît"),
]
OTHERS = [
    *("please stop by at 5", "Does the bus stop here?", "non-stop", "stop sign", "the last stop", "nonstop", "stops"),
    *("Do I have to stop taking the pills?", "stopped", "STOP and go", "stop " * 30, "", " ", "🛑", "!", "\u200b"),
    *("no", "cancel", "basta", "Cancel my order", "Ich möchte mich abmelden, aber wie?", "Wann stoppt der Bus?"),
    *("Quiero parar el pedido", "planta baja", "l'arrêt de bus", "Où est l’arrêt ?", "Vou sair às 5", "quit", "end"),
]
RESUMES = ["START", "start!", "Weiter.", "Reanudar", "começar", "Démarrer", "Reprendre 🙂", "unstop"]


@pytest.mark.parametrize("text", STOPS)
def test_a_message_that_is_a_stop_word_stops(text: str) -> None:
    assert is_stop(text)
    assert not is_resume(text)


@pytest.mark.parametrize("text", OTHERS)
def test_a_message_that_only_has_a_stop_word_in_it_is_a_message(text: str) -> None:
    assert not is_stop(text)


@pytest.mark.parametrize("text", RESUMES)
def test_a_message_that_is_a_resuming_word_resumes(text: str) -> None:
    assert is_resume(text)
    assert not is_stop(text)


@pytest.mark.parametrize("text", ["When does it start?", "Start the car", "", "weiter so", "stop"])
def test_another_message_resumes_nothing(text: str) -> None:
    assert not is_resume(text)


def test_each_language_has_its_words_in_the_form_in_which_they_are_compared_and_none_does_both() -> None:
    assert {*STOP_WORDS} == {*RESUME_WORDS} == {*LANGUAGES}
    stop, resume = (
        {word for words in table.values() for word in words.split(", ")} for table in (STOP_WORDS, RESUME_WORDS)
    )
    assert not stop & resume
    assert all(word == _normalized(word) and len(word) <= 40 for word in stop | resume)
