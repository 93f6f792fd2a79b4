"""The people of the story, simulated with Playwright: an operator and a tenant's owner, each with a browser."""

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.story.authenticator import Authenticator, read_qr_code

#: The limit for each page and element.
PAGE_TIMEOUT_MS = 30_000


@dataclass(frozen=True)
class Client:
    """The client's data that the operator enters."""

    name: str
    email: str
    key: str
    instructions: str


class Operator:
    """An operator, who signs in for the first time, creates tenants and opens their pages."""

    def __init__(self, browser: Browser, admin_url: str, pictures: Path | None) -> None:
        self._context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PAGE_TIMEOUT_MS)
        self._admin_url = admin_url
        self._pictures = pictures
        #: set up at the first sign-in, where the stage wants one
        self.authenticator: Authenticator | None = None

    def sign_in(self, email: str, first_password: str, password: str) -> None:
        """Signs in with the printed password, then chooses ``password``: on a page of any release.

        Sets up an authenticator app if the page asks for one.
        """
        self.page.goto(self._admin_url)
        self._picture("admin-sign-in")
        self._enter_password(email, first_password)
        self.page.wait_for_selector("#again")
        self.page.fill("#password", password)
        self.page.fill("#again", password)
        self.page.click("button.primary")
        self.page.wait_for_selector("#code, :text('Sign out')")
        if self.page.locator("#code").count():
            self.authenticator = Authenticator.scan(self.page.screenshot())
            self._enter_code(self.authenticator.digits())
        self.page.wait_for_selector("text=Sign out")
        self._picture("admin-setup")

    def sign_in_again(self, email: str, password: str, app: Authenticator) -> None:
        """Signs in with password and app; raises unless a wrong code is refused first."""
        self.page.goto(self._admin_url)
        self._enter_password(email, password)
        self.page.wait_for_selector("#code")
        assert not self.page.locator("text=Sign out").count(), "the password alone was enough"
        self._enter_code(app.wrong_digits())
        self.page.wait_for_selector(".error-summary")
        self._enter_code(app.digits())
        self.page.wait_for_selector("text=Sign out")

    def _enter_password(self, email: str, password: str) -> None:
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self.page.click("button.primary")

    def _enter_code(self, digits: str) -> None:
        self.page.fill("#code", digits)
        self.page.click("button.primary")

    def create(self, client: Client) -> str:
        """Creates a tenant; returns its id."""
        self.page.goto(f"{self._admin_url}/new")
        self.page.fill("#name", client.name)
        self.page.fill("#owner_email", client.email)
        self.page.fill("#api_key", client.key)
        self.page.fill("#instructions", client.instructions)
        self._picture("admin-new-tenant")
        self.page.click("button.primary:has-text('Create tenant')")
        self.page.wait_for_url("**/admin/tenants/*")
        return self.page.url.rstrip("/").rsplit("/", 1)[-1].partition("?")[0]

    def lift_caps(self, tenant: str) -> None:
        """Switches the tenant's rate limits off, and lets its line answer in groups when it is mentioned."""
        self.page.goto(f"{self._admin_url}/tenants/{tenant}/edit")
        self.page.fill("#replies_per_minute", "0")
        self.page.fill("#replies_per_contact_per_day", "0")
        mentioned = self.page.locator("select[name=groups] option[value='when mentioned']")
        if mentioned.count():
            self.page.select_option("select[name=groups]", "when mentioned")
        self.page.click("button.primary:has-text('Save')")
        self.page.wait_for_url(f"**/admin/tenants/{tenant}*")

    def open_tenant(self, tenant: str, picture: str) -> None:
        """Opens the list of tenants, then the tenant's page."""
        self.page.goto(self._admin_url)
        self.page.wait_for_selector("table, .card")
        self._picture("admin-tenants")
        self.page.goto(f"{self._admin_url}/tenants/{tenant}")
        self._picture(picture)

    def _picture(self, name: str) -> None:
        if self._pictures is not None:
            self.page.screenshot(path=self._pictures / f"{name}.png", full_page=True)


class Owner:
    """A tenant's owner, who opens the mail in the outbox, follows its link and scans the code."""

    def __init__(self, browser: Browser, pictures: Path | None) -> None:
        self._context = browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB")
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PAGE_TIMEOUT_MS)
        self._pictures = pictures

    def open_mail(self, outbox_url: str, address: str) -> None:
        """Finds the mail in the outbox, opens it and clicks its button, which opens the landing page."""
        self.page.goto(outbox_url)
        self._picture("outbox")
        self.page.locator("li a", has_text=address).first.click()
        button = self.page.frame_locator("iframe").locator("a[href*='/join/']").first
        button.wait_for()
        self._picture("mail")
        button.click()
        self.page.wait_for_url("**/join/**")
        opening = self.page.locator("#open")
        if opening.count():
            opening.click()

    def code_on_the_screen(self) -> str:
        """Returns the QR code, decoded from the pixels of the page, as a camera does."""
        expect(self.page.locator("#qr svg")).to_be_visible(timeout=PAGE_TIMEOUT_MS)
        self._picture("landing-qr")
        return read_qr_code(self.page.screenshot())

    def wait_until_connected(self) -> None:
        """Waits until the page shows by itself that the line is connected."""
        expect(self.page.locator("#phase[data-shown='connected']")).to_be_visible(timeout=PAGE_TIMEOUT_MS)
        self._picture("landing-connected")

    def _picture(self, name: str) -> None:
        if self._pictures is not None:
            self.page.screenshot(path=self._pictures / f"{name}.png", full_page=True)
