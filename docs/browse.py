"""Opens every page of the built site in Chromium, without a network, at the width of a telephone and of a desk.

    python docs/browse.py                     # after `make docs`; needs the program chromium
    python docs/browse.py --pictures FOLDER   # draws five pages at both widths, too

It lists what the console says, such as scripts that fail, and pages that are wider than the window. What a page loads
from elsewhere ends the build already.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SITE = pathlib.Path(__file__).parent / "_build" / "html"
MARGIN = 8  # pixels: as far as the theme's hidden links beside headings reach
WIDTHS = {"telephone": 390, "desk": 1400}
DRAWN = [
    "docs/index",
    "docs/guide/modes-and-schedules",
    "docs/guide/which-gate",
    "docs/keras",
    "docs/api/blendloss.Blend",
]
# One page after the other is loaded in a frame, to be measured. Pages of the file system may look into each
# other only with a flag.
TOUR = """<!doctype html><body><pre id="found"></pre><script>
const found = [];
async function tour(pages, widths) {
  for (const [name, width] of Object.entries(widths)) {
    for (const page of pages) {
      const frame = document.createElement("iframe");
      frame.style.cssText = `width: ${width}px; height: 900px; border: 0`;
      frame.src = page;
      const loaded = new Promise((resolve) => { frame.onload = resolve; });
      document.body.append(frame);
      await loaded;
      // The theme lets a part that is too wide scroll. Code and tables may, but not the text around them.
      const parts = frame.contentDocument.querySelectorAll("html, body, .main, .content, article");
      const beyond = Math.max(...[...parts].map((part) => part.scrollWidth - part.clientWidth));
      found.push([page, name, beyond]);
      frame.remove();
    }
  }
  document.getElementById("found").textContent = JSON.stringify(found);
  document.title = "done";
}
tour(PAGES, WIDTHS);
</script></body>"""


def chromium(*arguments: str, profile: str) -> subprocess.CompletedProcess[str]:
    """Runs Chromium without a screen, and without a network."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.exit("Chromium is needed: install the package chromium, say")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--user-data-dir={profile}"]
    return subprocess.run([program, *flags, *arguments], capture_output=True, text=True, timeout=600, check=True)


def complaints(stderr: str) -> list[str]:
    """What pages wrote to the console."""
    return re.findall(r"CONSOLE.*", stderr)


def walk(profile: str) -> list[str]:
    """A line for each complaint, and for each page that is wider than its window."""
    pages = [path.as_uri() for path in sorted(SITE.rglob("*.html")) if path != SITE / "index.html"]  # it leads on
    if not pages:
        sys.exit(f"there are no pages in {SITE}: run `make docs`")
    tour = pathlib.Path(profile, "tour.html")
    tour.write_text(TOUR.replace("PAGES, WIDTHS", f"{json.dumps(pages)}, {json.dumps(WIDTHS)}"), encoding="utf-8")
    done = chromium("--virtual-time-budget=600000", "--timeout=590000", "--dump-dom", tour.as_uri(), profile=profile)
    told = re.search(r'<pre id="found">(\[.*?\])</pre>', done.stdout, re.DOTALL)
    if told is None:
        sys.exit(f"Chromium did not come to the end of the pages:\n{done.stderr[-2000:]}")
    seen = json.loads(told[1])
    print(f"{len(seen)} views of {len(pages)} pages")
    found = [f"{page}: {beyond} pixels too wide on a {name}" for page, name, beyond in seen if beyond > MARGIN]
    return complaints(done.stderr) + found


def draw(folder: pathlib.Path, profile: str) -> list[str]:
    """Draws five pages at both widths, in frames: Chromium has no window as narrow as a telephone."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for page in DRAWN:
        for name, width in WIDTHS.items():
            frame = pathlib.Path(profile, "frame.html")
            style = f"width: {width}px; height: 1200px; border: 0"
            uri = (SITE / f"{page}.html").as_uri()
            frame.write_text(f'<!doctype html><body style="margin: 0"><iframe style="{style}" src="{uri}"></iframe>')
            picture = folder.resolve() / f"{page.rpartition('/')[2]}-{name}.png"
            size = f"--window-size={max(width, 500)},1200"
            found += complaints(chromium(size, f"--screenshot={picture}", frame.as_uri(), profile=profile).stderr)
            print(picture)
    return found


def main() -> int:
    """Walks, and draws if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=pathlib.Path, metavar="FOLDER", help="draw five pages at both widths, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as profile:
        found = walk(profile) + (draw(given.pictures, profile) if given.pictures else [])
    print("\n".join(found) or "nothing to complain about")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
