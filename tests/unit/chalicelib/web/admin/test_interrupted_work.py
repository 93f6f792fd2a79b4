"""Signing in leads back to where an operator was going, and loses nothing that was typed."""

import json

import pytest

from chalicelib.aws.cognito import Code, NewPassword, SignedIn
from chalicelib.store.operators import MAX_FORM_BYTES, Interruptions
from chalicelib.store.table import Item, Table, Update
from chalicelib.tokens import sha256
from chalicelib.web.admin.interrupted_work import FORMS_PER_HOUR, PLACE_COOKIE
from tests.simulation.memory_table import MemoryTable
from tests.unit.conftest import Clock
from tests.unit.support.admin_browser import FIELDS, KEY, OLGA, POLICIES, Admin
from tests.unit.support.headless_browser import Browser, Page

TENANT = "hotel00000"
IDLE = 31 * 60


def sign_in_from(admin: Admin, page: Page, **fields: str) -> Page:
    """Signs in with the form of this page, as a tab that shows it does."""
    form = {"csrf": page.hidden("csrf"), "place": page.hidden("place"), "email": OLGA, "password": "right"}
    return admin.browser.post("/admin/sign-in", {**form, **fields})


def stored(admin: Admin) -> list[Item]:
    """Every item of the table."""
    table = admin.services.table
    assert isinstance(table, MemoryTable)
    return list(table.items())


def goes_to(page: Page, path: str) -> bool:
    return (page.status, page.headers.get("location")) == (303, f"/api{path}")


# --- the page that somebody was going to ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [f"/admin/tenants/{TENANT}", f"/admin/tenants/{TENANT}/edit", "/admin/new", "/admin/setup"]
)
def test_signing_in_leads_back_to_the_page_that_asked_for_it(stranger: Admin, path: str) -> None:
    form = stranger.browser.follow(stranger.browser.get(path))
    assert path not in form.html and stranger.browser.cookies[PLACE_COOKIE] not in path
    assert goes_to(sign_in_from(stranger, form), path)
    assert PLACE_COOKIE not in stranger.browser.cookies


def test_the_way_back_survives_wrong_answers_and_every_step(stranger: Admin) -> None:
    path = f"/admin/tenants/{TENANT}"
    stranger.identity.first = NewPassword("sub", "session-1")
    stranger.identity.later = [Code("sub", "session-2"), SignedIn(OLGA)]
    form = stranger.browser.follow(stranger.browser.get(path))
    form = sign_in_from(stranger, form, password="wrong")
    stranger.browser.follow(sign_in_from(stranger, form))
    stranger.go_on(password="Second-Pass-1", again="Second-Pass-1")
    assert goes_to(stranger.go_on(code="123456"), path)


def test_a_button_whose_session_had_ended_leads_back_to_its_page(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    csrf = olga.browser.get(f"/admin/tenants/{tenant}").hidden("csrf")
    clock.pass_seconds(IDLE)
    form = olga.browser.follow(olga.browser.post(f"/admin/tenants/{tenant}/pause", {"csrf": csrf}))
    assert goes_to(sign_in_from(olga, form), f"/admin/tenants/{tenant}")
    assert not olga.services.tenants.get(tenant).paused


@pytest.mark.parametrize(
    "place",
    ["", "x", "https://evil.example", "//evil.example", "/admin/new", "a" * 43, "../..", "\\evil", "%2f%2fe"],
)
def test_no_place_of_others_making_leads_anywhere(stranger: Admin, place: str) -> None:
    stranger.browser.cookies[PLACE_COOKIE] = place
    assert goes_to(sign_in_from(stranger, stranger.browser.get("/admin/sign-in"), place=place), "/admin/setup")


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example/admin", "/admin//evil.example", "/admin/../x", "/adminx", "/", "/join/x"],
)
def test_only_our_own_paths_are_stored_or_read(stranger: Admin, memory_table: Table, clock: Clock, path: str) -> None:
    kept = Interruptions(memory_table)
    kept.keep_path("place", path, now=clock())
    assert kept.find_path("place", now=clock()) is None
    kept.keep_path("place", "/admin/new", now=clock())
    memory_table.update(Update("OPERATOR#place", "PATH", set={"path": path}))
    assert kept.find_path("place", now=clock()) is None


def test_a_place_is_forgotten_after_an_hour(stranger: Admin, clock: Clock) -> None:
    form = stranger.browser.follow(stranger.browser.get("/admin/new"))
    clock.pass_seconds(3_600)
    assert goes_to(sign_in_from(stranger, form), "/admin/setup")


def test_two_tabs_at_the_sign_in_lead_each_to_its_own_page(stranger: Admin) -> None:
    first = stranger.browser.follow(stranger.browser.get(f"/admin/tenants/{TENANT}"))
    second = stranger.browser.follow(stranger.browser.get("/admin/new"))
    assert goes_to(sign_in_from(stranger, first), f"/admin/tenants/{TENANT}")
    assert goes_to(sign_in_from(stranger, second), "/admin/new")


def test_a_sign_in_that_is_out_of_date_starts_over_with_its_address(stranger: Admin) -> None:
    form = stranger.browser.follow(stranger.browser.get("/admin/new"))
    stranger.browser.cookies.clear()
    again = sign_in_from(stranger, form)
    assert again.status == 403 and "out of date" in again.text and again.value("email") == OLGA
    assert goes_to(sign_in_from(stranger, again), "/admin/new")


# --- the form that was filled in --------------------------------------------------------------------------------


def test_a_form_posted_after_the_session_ended_is_offered_again_and_saved(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    page = f"/admin/tenants/{tenant}/edit"
    form = olga.browser.get(page)
    typed = {**FIELDS, **POLICIES, "groups": "never", "api_key": "", "instructions": "Line one.\nLine <two>."}
    typed |= {name: form.hidden(name) for name in ("csrf", "revision")}
    clock.pass_seconds(IDLE)
    sign_in = olga.browser.follow(olga.browser.post(page, typed))
    assert olga.services.tenants.get(tenant).revision == 1
    answer = sign_in_from(olga, sign_in)
    assert goes_to(answer, page)
    offered = olga.browser.follow(answer)
    assert "Nothing was saved yet" in offered.text
    assert offered.value("instructions") == "Line one.\nLine <two>."
    assert 'name="wordless_notice" value="yes" checked' not in offered.html  # it was unchecked
    again = {**typed, "csrf": offered.hidden("csrf"), "revision": offered.hidden("revision")}
    assert olga.browser.post(page, again).status == 303
    assert "Nothing was saved yet" not in olga.browser.get(page).text
    found = olga.services.tenants.get(tenant)
    assert olga.services.tenants.get_assistant(tenant, found.assistant_version).instructions == "Line one.\nLine <two>."


def test_a_new_tenant_is_offered_again_without_its_key(olga: Admin, clock: Clock) -> None:
    typed = olga.fill_in(name="Hotel Sommer")
    clock.pass_seconds(IDLE)
    offered = olga.browser.follow(sign_in_from(olga, olga.browser.follow(olga.browser.post("/admin/new", typed))))
    assert offered.value("name") == "Hotel Sommer" and offered.hidden("form_id") == typed["form_id"]
    assert "Keys are never kept" in offered.text and KEY not in offered.html
    assert KEY not in repr(stored(olga)) and olga.mailer.sent == [] and olga.llm.checked == []
    assert olga.browser.get("/admin/new?fresh=yes").value("name") == ""
    csrf = offered.hidden("csrf")
    assert olga.browser.post("/admin/new", {**typed, "csrf": csrf}).status == 303
    assert olga.browser.get("/admin/new").value("name") == ""


def test_a_form_is_kept_also_after_the_longest_session(olga: Admin, clock: Clock) -> None:
    typed = olga.fill_in(name="Hotel Sommer")
    clock.pass_seconds(12 * 3_600)
    offered = olga.browser.follow(sign_in_from(olga, olga.browser.follow(olga.browser.post("/admin/new", typed))))
    assert offered.value("name") == "Hotel Sommer"


def test_a_form_of_a_tab_from_before_the_sign_in_of_another_tab_is_kept(olga: Admin, clock: Clock) -> None:
    typed = olga.fill_in(name="Hotel Sommer")
    clock.pass_seconds(IDLE)
    olga.signed_in()
    refused = olga.browser.post("/admin/new", typed)
    assert refused.status == 403 and 'href="/api/admin/new"' in refused.html and "what you typed" in refused.text
    assert olga.browser.get("/admin/new").value("name") == "Hotel Sommer"


def test_what_one_operator_typed_is_offered_to_no_other(olga: Admin, clock: Clock) -> None:
    typed = olga.fill_in(name="Hotel Sommer")
    clock.pass_seconds(IDLE)
    form = olga.browser.follow(olga.browser.post("/admin/new", typed))
    olga.identity.first = SignedIn("bob@agency.example")
    assert olga.browser.follow(sign_in_from(olga, form, email="bob@agency.example")).value("name") == ""
    olga.identity.first = SignedIn(OLGA)
    assert Admin(olga.services).signed_in().browser.get("/admin/new").value("name") == "Hotel Sommer"


@pytest.mark.parametrize("spoil", ["a stranger", "another site", "a guess", "a removed operator"])
def test_strangers_store_nothing(olga: Admin, clock: Clock, spoil: str) -> None:
    typed = olga.fill_in(name="Hotel Sommer")
    clock.pass_seconds(IDLE)
    site = "same-origin"
    match spoil:
        case "a stranger":
            olga.browser = Browser(olga.gateway)
        case "another site":
            site = "cross-site"
        case "a guess":
            typed["csrf"] = "guess"
        case _:
            olga.services.operators.end(sha256(olga.browser.cookies["__Host-operator"]))
    assert olga.browser.post("/admin/new", typed, sec_fetch_site=site).status == 303
    assert "Hotel Sommer" not in repr(stored(olga))


def test_what_is_kept_is_bounded_in_size_number_and_time(olga: Admin, clock: Clock) -> None:
    typed = olga.fill_in(name="Hotel Sommer")
    clock.pass_seconds(IDLE)
    olga.browser.post("/admin/new", {**typed, "instructions": "x" * MAX_FORM_BYTES})
    assert "FORM#" not in repr(stored(olga))
    for number in range(FORMS_PER_HOUR + 5):
        olga.browser.post(f"/admin/tenants/hotel{number:05}/edit", typed)
    kept = [item for item in stored(olga) if item["sk"].startswith("FORM#")]
    assert len(kept) == FORMS_PER_HOUR - 1
    assert all(set(json.loads(item["fields"])).isdisjoint({"api_key", "csrf"}) for item in kept)
    assert {item["expires_at"] for item in kept} == {clock() // 1000 + 12 * 3_600}
