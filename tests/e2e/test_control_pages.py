"""/docs and /redoc in a real browser that cannot reach anybody but us."""

from collections.abc import Iterator

import pytest

from foz.skins.openai import OpenAISkin
from tests.e2e.chromium import Browser, Page, open_browser
from tests.e2e.control_plane import House, Plane, serving

SHOWN = r"document.body.innerText.replace(/\u200b/g, '').includes('/v1/chat/completions')"
RESOURCES = "performance.getEntriesByType('resource').map(one => one.name).join(' ')"


@pytest.fixture(scope="module")
def plane() -> Iterator[Plane]:
    with serving(House(keys={"needed"}), faces=(OpenAISkin(),)) as one:
        yield one


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.page() as one:
        yield one


def assert_only_ours(plane: Plane, page: Page) -> None:
    """Both planes are shown, the console is silent, and nobody but this server was asked for anything."""
    text = str(page.wait_for(r"document.body.innerText.replace(/\u200b/g, '')"))
    resources = str(page.wait_for(RESOURCES)).split()
    asked = [url for url in [*page.requests, *resources] if not url.startswith(("data:", "blob:", "about:"))]

    for shown in ("/v1/models/{model}", "/health", "/metrics", "Continue a conversation"):
        assert shown in text
    assert page.complaints == []
    assert page.trap.wanted == []
    assert len(asked) >= 4
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{plane.port}"}


def test_swagger_ui_shows_both_planes_and_tries_them_out(plane: Plane, page: Page) -> None:
    """/docs is rendered without a key, a console error or a request that leaves 127.0.0.1; `Execute` reaches us."""
    page.open(f"http://127.0.0.1:{plane.port}/docs")
    page.wait_for(SHOWN)
    health = "document.querySelector('[id^=operations-control-health]')"
    for step in (".opblock-summary-control", ".try-out__btn", ".execute"):
        page.wait_for(f"(found => found && (found.click(), true))({health}?.querySelector('{step}'))")
    page.wait_for(f"{health}.querySelector('.live-responses-table')?.innerText.includes('1.2.3')")

    assert_only_ours(plane, page)


def test_redoc_shows_both_planes_and_can_be_searched(plane: Plane, page: Page) -> None:
    """/redoc is rendered without a key, a console error or a request that leaves 127.0.0.1; its search finds."""
    page.open(f"http://127.0.0.1:{plane.port}/redoc")
    page.wait_for(SHOWN)
    page.wait_for("(found => found && (found.focus(), true))(document.querySelector('input.search-input'))")
    page.ask("Input.insertText", text="vectors")
    page.wait_for("document.querySelector('[data-role=\"search:results\"]')?.innerText.includes('vectors')")

    assert_only_ours(plane, page)


def test_the_policy_stops_a_page_that_would_call_out(plane: Plane, page: Page) -> None:
    """A script in the page that fetches from elsewhere is refused by the browser, and the trap hears nothing."""
    page.open(f"http://127.0.0.1:{plane.port}/docs")
    page.wait_for("document.readyState === 'complete'")
    outcome = page.wait_for(
        "(globals => globals.outcome ??= (fetch('http://192.0.2.1/').then("
        "() => { globals.outcome = 'went' }, () => { globals.outcome = 'refused' }), ''))(window)"
    )

    assert outcome == "refused"
    assert page.trap.wanted == []
    assert any("Content Security Policy" in said for said in page.complaints)


def test_the_trap_catches_what_leaves(plane: Plane, page: Page) -> None:
    """Without the policy the same fetch ends in the trap: the trap's silence means something."""
    page.open(f"http://127.0.0.1:{plane.port}/health")
    page.wait_for("document.body.innerText.includes('1.2.3')")
    page.wait_for(
        "(globals => globals.outcome ??= (fetch('http://192.0.2.1/').then("
        "() => { globals.outcome = 'went' }, () => { globals.outcome = 'refused' }), ''))(window)"
    )

    assert page.trap.wanted == ["GET http://192.0.2.1/ HTTP/1.1"]
