"""docs/demo/index.html: what is in it, and what it does in a browser."""

import base64
import importlib.util
import re
import shutil

import numpy as np
import pytest
import runtime_networks as networks
from running import ROOT

import tfq.zoo
from tfq.c.write import emitted
from tfq.export.verify import TOLERANCE, top1
from tfq.graph import file
from tfq.graph import nodes as g
from tfq.runtime import Engine

pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]
PAGE = ROOT / "docs" / "demo" / "index.html"
KINDS = {
    "binary": {},
    "kmap": {"kmap": True},
    "ternary": {"coding": "ternary", "bits": 2},
    "levels": {"quantizer": g.Levels(2), "coding": "levels", "bits": 2},
    "bytes": {"quantizer": g.Levels(8), "coding": "levels", "bits": 8},
}


@pytest.fixture(scope="module")
def demo_page():
    spec = importlib.util.spec_from_file_location("demo_page", ROOT / "tools" / "demo_page.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.fixture(scope="module")
def compiler(demo_page):
    try:
        return demo_page.compiler()
    except demo_page.NoCompiler as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def text():
    return PAGE.read_text(encoding="utf-8")


def test_its_weights_are_those_of_the_zoo(demo_page, text):
    module = base64.b64decode(re.search(r"base64\">([^<]+)<", text)[1])
    graph = file.read(tfq.zoo.path(demo_page.NETWORK))
    size = 0
    for definition in emitted(graph, "network").constants.definitions:
        kind, _, values = definition.partition(" = ")
        if "uint32_t" in kind:
            array = np.array([int(value, 16) for value in re.findall(r"0x(\w{8})u", values)], np.uint32)
        elif "float" in kind:
            array = np.array(re.findall(r"[-+.\de]+(?=f)", values), np.float32)
        else:
            continue
        assert array.tobytes() in module, kind
        size += array.nbytes
    assert size > 160_000
    assert re.findall(r"<li>(\w+)</li>", text) == list(graph.labels)


def test_it_asks_for_nothing_else(text):
    assert re.findall(r"(?:src|href)=\"(?!data:)[^\"]*", text) == []
    assert not re.search(r"https?:|@import|url\(", text)


@pytest.mark.slow
def test_it_is_what_the_command_writes(demo_page, compiler, text):
    if f'content="{compiler}"' not in text:
        pytest.skip(f"it was compiled by another compiler than {compiler}")
    assert demo_page.page(file.read(tfq.zoo.path(demo_page.NETWORK))) == text, "make demo-page"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser):
    """The page on a phone without a network; what its console and its requests say is checked behind the test."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, offline=True)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(PAGE.as_uri())
    page.evaluate("ready.then(() => null)")
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [PAGE.as_uri()]


def said(page):
    """The best class and the logits that the page shows."""
    rows = [row.inner_text().split("\t") for row in page.locator("#classes tr").all()]
    return page.get_by_role("status").inner_text().split(",")[0], [float(row[-1]) for row in rows]


@pytest.mark.slow
def test_logits_are_those_of_the_runtime(demo_page, opened):
    images = np.load(ROOT / "tests" / "data" / "cifar10_slice.npz")["x_test"]
    given = [base64.b64encode(image.tobytes()).decode() for image in images]
    program = """async (images) => {
        const { network } = await ready;
        return images.map((image) => network.logits(Uint8Array.from(atob(image), (c) => c.charCodeAt(0))));
    }"""
    found = np.array(opened.evaluate(program, given), np.float32)
    expected = Engine(file.read(tfq.zoo.path(demo_page.NETWORK))).predict(images)
    largest = np.abs(expected).max(axis=1)
    np.testing.assert_array_equal(top1(found, expected, largest), expected.argmax(axis=1))
    # The rule of lab.equality, of which no image needs the exception: values next to a boundary.
    assert (np.abs(found - expected).max(axis=1) / largest).max() <= TOLERANCE


@pytest.mark.slow
def test_drawings_by_keyboard(opened):
    buttons = opened.get_by_role("group", name="Drawings").get_by_role("button")
    names = [button.get_by_role("img").get_attribute("alt").removeprefix("Drawing: ") for button in buttons.all()]
    assert len(names) == 8
    assert said(opened)[0] == names[0]
    for name in names:
        opened.keyboard.press("Tab")
        opened.keyboard.press("Enter")
        opened.get_by_role("status").filter(has_text=f"{name}, ").wait_for()
        assert opened.locator("button[aria-pressed=true] img").get_attribute("alt") == f"Drawing: {name}"
    assert opened.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert re.search(r"One image takes [\d.]+ ms here", opened.get_by_role("status").inner_text())
    shares = [float(row.locator("td").first.inner_text().removesuffix(" %")) for row in opened.locator("#classes tr").all()]
    assert abs(sum(shares) - 100) < 0.6
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_an_image_of_ones_own(demo_page, opened, tmp_path):
    pictures = pytest.importorskip("PIL.Image")
    image = np.load(ROOT / "tests" / "data" / "cifar10_slice.npz")["x_test"][3]
    wide = np.zeros((32, 40, 3), np.uint8)
    wide[:, 4:36] = image
    pictures.fromarray(wide).save(tmp_path / "wide.png")
    chooser = opened.get_by_label("Or an image of yours:")
    before = said(opened)[1]
    chooser.set_input_files(tmp_path / "wide.png")
    opened.wait_for_function("document.querySelectorAll('button[aria-pressed=true]').length === 0")
    expected = Engine(file.read(tfq.zoo.path(demo_page.NETWORK))).predict(image[None])[0]
    assert said(opened)[1] != before
    np.testing.assert_allclose(said(opened)[1], expected, rtol=0, atol=1e-3)
    (tmp_path / "text.png").write_text("no image")
    chooser.set_input_files(tmp_path / "text.png")
    opened.get_by_text("text.png is no image that this browser can read.").wait_for()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("-DTFQ_SCALAR",)], ids=["vectors", "scalar"])
@pytest.mark.parametrize("kind", KINDS)
def test_self_tests_in_webassembly(demo_page, compiler, browser, kind, flags):
    graph = networks.small_network(np.random.default_rng(5), **KINDS[kind])
    found, manifest = demo_page.module(graph, "-DNETWORK_SELFTEST", *flags)
    program = """async ([text, arena]) => {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const { exports } = (await WebAssembly.instantiate(bytes)).instance;
        exports.memory.grow(Math.ceil(arena / 65536) + 1);
        return exports.network_selftest(exports.__heap_base.value);
    }"""
    page = browser.new_page()
    wrong = page.evaluate(program, [base64.b64encode(found).decode(), manifest["ram"]["arena"]])
    page.close()
    assert wrong == 0
