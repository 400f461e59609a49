"""
"Try it out" on /docs of a real gateway in a real browser: each path that shows an example of a body answers it.

The gateway is in test mode, without keys: the simulated model answers every name.
"""

from collections.abc import Iterator

import pytest

from foz.assembly.faces import faces
from foz.config.settings import Settings
from foz.ports.skin import Route
from foz.serve.http.routes import PARAMETER
from foz.testing.process import Served, start_gateway
from tests.e2e.chromium import Browser, Page, open_browser

ROUTES = [route for face in faces(Settings()) for route in face.skin.routes if route.example and route.method == "POST"]
MODEL = "org/estuary:latest"
_FILL = """(field => field && (
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, '%s'),
    field.dispatchEvent(new Event('input', {bubbles: true})),
    field.dispatchEvent(new FocusEvent('focusout', {bubbles: true})), field.value))(document.querySelector("%s"))"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_gateway(tmp_path_factory.mktemp("gateway"), environment={"TEST_MODE": "true"}) as served:
        yield served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture(scope="module")
def page(browser: Browser, gateway: Served) -> Iterator[Page]:
    with browser.page() as one:
        one.open(f"{gateway.url}/docs")
        yield one


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_example_of_a_body_can_be_tried(page: Page, route: Route) -> None:
    """The example that /docs shows, sent from the browser as it stands, is answered with 200 by the simulated model."""
    words = "_".join(PARAMETER.sub(r"\1", route.path).strip("/").replace(".", "_").split("/"))
    block = f"#operations-{route.skin}-{route.skin}_post_{words}"

    def click(what: str) -> None:
        page.wait_for(f"(found => found && (found.click(), true))(document.querySelector('{block} {what}'))")

    click(".opblock-summary-control")
    click(".try-out__btn")
    for name in PARAMETER.findall(route.path):
        page.wait_for(_FILL % (MODEL, f"{block} tr[data-param-name={name}] input"))
    click(".execute")
    status = page.wait_for(
        f"document.querySelector('{block} .live-responses-table tbody .response-col_status')?.innerText"
    )

    assert str(status).split()[0] == "200"
    assert page.complaints == []
