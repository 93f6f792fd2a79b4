"""Sentences about news and open matters for operators: mails and the webhook say what the admin's pages say."""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.model.notices.digest import DigestLine, OpenMatter
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import NoticeLine, Subject
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, format_instant, translator
from chalicelib.rendering.subjects import isolate


@dataclass(frozen=True, slots=True)
class MailEntry:
    """A line as a mail to operators lists it."""

    name: str
    link: str
    #: empty where the heading says it
    sentence: str
    #: since when it is so, in words
    when: str


def notice_name(kind: NoticeKind) -> str:
    """Returns the news in a few words."""
    translate = translator(DEFAULT_LANGUAGE)
    if kind is NoticeKind.DISCONNECTED:
        return translate("phase.disconnected.label")
    return translate(f"admin.{'news' if kind.problem is None else 'problem'}.{kind}.name")


def notice_sentence(line: NoticeLine) -> str:
    """Returns what is so of a line, or what is over."""
    translate = translator(DEFAULT_LANGUAGE)
    if line.subject is Subject.ALL_CLEAR:
        return translate(f"admin.over.{line.kind}")
    if line.kind is NoticeKind.DISCONNECTED:
        return translate("admin.phase.disconnected.sentence")
    return translate(f"admin.{'news' if line.kind.problem is None else 'problem'}.{line.kind}.sentence")


def matter_sentence(line: DigestLine) -> str:
    """Returns what is open of a line; of a problem, which one."""
    translate = translator(DEFAULT_LANGUAGE)
    if line.matter is OpenMatter.PROBLEM:
        return translate(f"admin.problem.{line.problem}.sentence")
    return translate(f"admin.digest.{line.matter}")


def title_of_notices(news: Sequence[NoticeLine], over: Sequence[NoticeLine]) -> str:
    """Returns what happened, if it is one kind of news about one line, or else to how many lines."""
    translate = translator(DEFAULT_LANGUAGE)
    key = "admin.mail.title" if news else "admin.mail.over.title"
    count = len({line.link for line in news or over})
    if count > 1:
        return translate(f"{key}.several", count=count)
    kinds = {line.kind for line in news}
    return notice_name(kinds.pop()) if len(kinds) == 1 else translate(key)


def entry_of_notice(line: NoticeLine) -> MailEntry:
    """Returns the entry of a notice: client, link, what is so, and since when."""
    when = format_instant(line.since, DEFAULT_LANGUAGE, "")
    return MailEntry(isolate(line.name), line.link, notice_sentence(line), when)


def entry_of_matter(line: DigestLine, overview: str) -> MailEntry:
    """Returns the entry of a matter, below a heading that says which one it is.

    Args:
        overview: the address of the list of tenants.
    """
    when = format_instant(line.since, DEFAULT_LANGUAGE, "")
    sentence = matter_sentence(line) if line.matter is OpenMatter.PROBLEM else ""
    return MailEntry(isolate(line.name), f"{overview}/tenants/{line.tenant}", sentence, when)
