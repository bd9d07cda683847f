// Makes a chart that the server drew answer to pointer, keys and fingers: a crosshair with the numbers under it,
// zoom and pan, another width, and what has just been seen. Every drawing comes from the server; this script asks
// for another stretch of time and puts the new one in its place. Without it the page shows the same chart.

const SVG = "http://www.w3.org/2000/svg";
const LEAST_SPAN = 60_000;
const KEY_STEP = 0.25;

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.drawing = figure.querySelector(".chart-drawing");
    this.readout = figure.querySelector(".chart-readout");
    this.links = [...figure.querySelectorAll("a[data-range]")];
    this.resting = figure.querySelector(".chart-resting");
    this.home = { range: figure.dataset.range };
    this.view = this.home;
    this.shown = this.home;
    this.numbers = null;
    this.current = null;
    this.pointers = new Map();
    this.asking = null;
    this.listen();
    this.load();
  }

  listen() {
    const on = (name, handler, options) => this.drawing.addEventListener(name, handler.bind(this), options);
    on("pointermove", this.pointerMoved);
    on("pointerdown", this.pointerDown);
    on("pointerup", this.pointerUp);
    on("pointercancel", this.pointerUp);
    on("pointerleave", (event) => {
      // A finger that is lifted leaves its numbers.
      if (event.pointerType === "mouse" && !this.pointers.has(event.pointerId)) this.point(null);
    });
    on("wheel", this.wheel, { passive: false });
    on("dblclick", () => this.show(this.home));
    on("keydown", this.key);
    on("blur", () => this.point(null));
    for (const link of this.links) {
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        this.home = { range: link.dataset.range };
        history.replaceState(null, "", link.href);
        this.show(this.home);
      });
    }
    const actions = {
      in: () => this.zoom(0.5, this.current?.x),
      out: () => this.zoom(2, this.current?.x),
      whole: () => this.show(this.home),
    };
    for (const button of this.figure.querySelectorAll("button[data-chart-do]")) {
      button.addEventListener("click", actions[button.dataset.chartDo]);
    }
    this.figure.querySelector(".chart-tools")?.removeAttribute("hidden");
    new ResizeObserver(later(200, () => {
      if (Math.abs(this.width() - (this.numbers?.width ?? 0)) >= 8) this.load();
    })).observe(this.drawing);
    const refresh = often(1_000, () => this.load());
    document.addEventListener("stakeout:watch", (event) => {
      // Who looks at a stretch of the past is left alone.
      if (event.detail?.name === this.figure.dataset.watch && this.view.range) refresh();
    });
  }

  // The drawing and its numbers.

  width() {
    return clamp(Math.round(this.drawing.clientWidth), 280, 2_000);
  }

  address(ending) {
    const address = new URL(this.figure.dataset.chart, location.href);
    address.pathname = address.pathname.replace(/chart\.json$/, `chart.${ending}`);
    const width = this.width();
    const asked = { width, height: width < 520 ? 340 : 420, ...this.view };
    for (const [key, value] of Object.entries(asked)) address.searchParams.set(key, value);
    return address;
  }

  show(view) {
    this.view = view;
    this.markRange();
    return this.load();
  }

  markRange() {
    for (const link of this.links) {
      if (link.dataset.range === this.view.range) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    if (this.resting) this.resting.textContent = this.view.range ? "" : "Live updates rest while a part is shown.";
  }

  // What was asked for cannot be had: the drawing stays that there is, and says so of itself.
  stay() {
    this.move(0);
    this.view = this.shown;
    this.markRange();
    this.say("The chart could not be fetched.");
  }

  async load() {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const view = this.view;
    try {
      const ask = (ending) => fetch(this.address(ending), { signal: asking.signal, credentials: "same-origin" });
      const [drawn, told] = await Promise.all([ask("svg"), ask("json")]);
      if (!drawn.ok || !told.ok) {
        if (!asking.signal.aborted) this.stay();
        return;
      }
      const [text, numbers] = [await drawn.text(), await told.json()];
      const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
      if (asking.signal.aborted || svg.localName !== "svg") return;
      // A title would be shown as a tooltip wherever the pointer rests.
      const title = [...svg.children].find((child) => child.localName === "title");
      svg.setAttribute("aria-label", title?.textContent ?? "");
      title?.remove();
      const at = this.current?.at;
      this.numbers = numbers;
      this.shown = view;
      this.drawing.replaceChildren(document.importNode(svg, true));
      this.drawCrosshair();
      this.point(numbers.points.find((point) => point.at === at) ?? null);
    } catch (error) {
      if (error.name !== "AbortError") this.stay();
    }
  }

  // The crosshair.

  drawCrosshair() {
    const make = (name, kind) => {
      const element = document.createElementNS(SVG, name);
      element.setAttribute("class", `chart-cross ${kind}`);
      element.setAttribute("visibility", "hidden");
      return this.drawing.firstElementChild.appendChild(element);
    };
    this.lines = [make("line", "chart-cross-line"), make("line", "chart-cross-line")];
    this.dot = make("circle", "chart-cross-dot");
    this.dot.setAttribute("r", "4");
  }

  point(point, byKey = false) {
    this.current = point;
    if (!this.lines || !this.numbers) return;
    const { panels, left, right } = this.numbers;
    const [upright, level] = this.lines;
    place(upright, point && { x1: point.x, x2: point.x, y1: panels[0].top, y2: panels.at(-1).bottom });
    place(level, point && point.y !== null && { x1: left, x2: right, y1: point.y, y2: point.y });
    place(this.dot, point && point.y !== null && { cx: point.x, cy: point.y });
    // Who moves by keys is told each step; a pointer passes over too many.
    this.readout.setAttribute("aria-live", byKey ? "polite" : "off");
    if (!point) return this.say("");
    // A day is called by its own date; a time of day is one of a zone.
    const words = [point.when.includes(":") ? `${point.when} ${this.numbers.zone}` : point.when];
    this.numbers.columns.forEach((name, index) => {
      const value = point.values[index];
      if (value !== null) words.push(`${name} ${typeof value === "number" ? shown(value) : value}`);
    });
    const near = this.numbers.marks.filter((mark) => Math.abs(mark.x - point.x) <= 6);
    words.push(...near.map((mark) => `${mark.firing ? "▼" : "◇"} ${mark.title}`));
    this.say(words.join(" · "));
  }

  say(words) {
    this.readout.textContent = words;
  }

  nearest(x) {
    const points = this.numbers?.points ?? [];
    let best = null;
    for (const point of points) {
      if (!best || Math.abs(point.x - x) < Math.abs(best.x - x)) best = point;
    }
    return best;
  }

  // Time and place: between two points as far as between their times, beyond them as fast as all of them.

  place(event) {
    const box = this.drawing.getBoundingClientRect();
    return ((event.clientX - box.left) * (this.numbers?.width ?? box.width)) / box.width;
  }

  time(x) {
    const { points, left, right, from, until } = this.numbers;
    const known = points.map((point) => [point.x, Date.parse(point.at)]);
    if (known.length < 2) {
      const [first, last] = [Date.parse(from), Date.parse(until)];
      return first + ((x - left) / (right - left)) * (last - first);
    }
    const next = known.findIndex(([place]) => place > x);
    const [a, b] = next > 0 ? [known[next - 1], known[next]] : [known[0], known.at(-1)];
    const start = next === -1 ? b : a;
    const pace = (b[1] - a[1]) / Math.max(b[0] - a[0], 0.1);
    return start[1] + (x - start[0]) * pace;
  }

  // Shows what lies between two places of the present drawing.
  stretch(left, right) {
    this.between(this.time(left), Math.min(this.time(right), Date.now()));
  }

  between(start, until) {
    const from = Math.max(Math.min(start, until - LEAST_SPAN), 0);
    if (!Number.isFinite(from) || !Number.isFinite(until) || until <= from) return this.move(0);
    this.show({ from: new Date(from).toISOString(), until: new Date(until).toISOString() });
  }

  // By how many times more is shown, around a place.
  zoom(times, around) {
    if (!this.numbers) return;
    const { left, right } = this.numbers;
    const middle = clamp(around ?? (left + right) / 2, left, right);
    this.stretch(middle - (middle - left) * times, middle + (right - middle) * times);
  }

  pan(by) {
    if (!this.numbers) return;
    const { left, right } = this.numbers;
    const [from, until] = [this.time(left - by), this.time(right - by)];
    // Nothing is known of the future: both ends stop together, so that as much is shown as before.
    const beyond = Math.max(until - Date.now(), 0);
    this.between(from - beyond, until - beyond);
  }

  // While fingers move, the old drawing moves with them.
  move(by, times = 1, around = 0) {
    const moving = this.drawing.querySelector(".chart-moving");
    if (moving) moving.style.transform = `translateX(${around + by}px) scaleX(${times}) translateX(${-around}px)`;
  }

  pointerDown(event) {
    if (!this.numbers || (event.pointerType === "mouse" && event.button !== 0)) return;
    this.drawing.focus({ preventScroll: true });
    this.drawing.setPointerCapture(event.pointerId);
    const x = this.place(event);
    this.pointers.set(event.pointerId, { start: x, now: x });
    if (event.pointerType !== "mouse") this.point(this.nearest(x));
  }

  pointerMoved(event) {
    const pointer = this.pointers.get(event.pointerId);
    const x = this.place(event);
    if (pointer) pointer.now = x;
    if (this.pointers.size === 2) {
      const { times, around, by } = this.pinch();
      this.point(null);
      this.move(by, 1 / times, around);
    } else if (pointer && event.pointerType === "mouse" && Math.abs(x - pointer.start) > 3) {
      this.move(x - pointer.start);
    } else {
      this.point(this.nearest(x));
    }
  }

  pointerUp(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    if (this.pointers.size === 2 && event.type === "pointerup") {
      const { times, around, by } = this.pinch();
      const { left, right } = this.numbers;
      this.stretch(around - (around - left + by) * times, around + (right - around - by) * times);
      // The finger that is left over moves nothing.
      this.pointers.clear();
      return;
    }
    this.pointers.delete(event.pointerId);
    const by = pointer.now - pointer.start;
    if (event.type === "pointercancel") this.move(0);
    else if (event.pointerType === "mouse" && Math.abs(by) > 3) this.pan(by);
  }

  // What two fingers did: how many times more is shown, around which place, and how far that went.
  pinch() {
    const [a, b] = [...this.pointers.values()];
    const around = (a.start + b.start) / 2;
    const times = Math.max(Math.abs(a.start - b.start), 10) / Math.max(Math.abs(a.now - b.now), 10);
    return { times, around, by: (a.now + b.now) / 2 - around };
  }

  wheel(event) {
    // A page that is scrolled past the chart goes on scrolling.
    const meant = event.ctrlKey || event.metaKey || document.activeElement === this.drawing;
    if (!meant || !this.numbers) return;
    event.preventDefault();
    this.turned = (this.turned ?? 0) + clamp(event.deltaY, -120, 120);
    const around = this.place(event);
    this.move(0, 1.0015 ** -this.turned, around);
    this.wheeled ??= later(140, (place) => {
      const times = 1.0015 ** this.turned;
      this.turned = 0;
      this.zoom(times, place);
    });
    this.wheeled(around);
  }

  key(event) {
    if (!this.numbers || event.ctrlKey || event.metaKey || event.altKey) return;
    const { points, left, right } = this.numbers;
    const index = this.current ? points.indexOf(this.current) : points.length;
    const go = (to) => this.point(points[clamp(to, 0, points.length - 1)] ?? null, true);
    const page = (right - left) * KEY_STEP;
    const keys = {
      ArrowLeft: () => (event.shiftKey ? this.pan(page) : go(index - 1)),
      ArrowRight: () => (event.shiftKey ? this.pan(-page) : go(index + 1)),
      PageUp: () => go(index - 10),
      PageDown: () => go(index + 10),
      Home: () => go(0),
      End: () => go(points.length - 1),
      "+": () => this.zoom(0.5, this.current?.x),
      "-": () => this.zoom(2, this.current?.x),
      0: () => this.show(this.home),
      Escape: () => (this.current ? this.point(null) : this.show(this.home)),
    };
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

// Sets the places of an element, or hides it.
function place(element, places) {
  element.setAttribute("visibility", places ? "visible" : "hidden");
  for (const [key, value] of Object.entries(places || {})) element.setAttribute(key, value);
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

// A number as the server shows it: at most six significant digits.
function shown(value) {
  const rounded = Math.abs(value) >= 100_000 ? Math.round(value) : value;
  const digits = Math.abs(value) >= 100_000 ? 21 : 6;
  return rounded.toLocaleString("en", { maximumSignificantDigits: digits, useGrouping: false });
}

// Does it once, when nobody has asked for it for so long.
function later(millis, action) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), millis);
  };
}

// Does it at most so often, also while it is asked for all the time; what is asked for last is done.
function often(millis, action) {
  let timer = null;
  let again = false;
  const run = async () => {
    again = false;
    await action();
    timer = again ? setTimeout(run, millis) : null;
  };
  return () => {
    again = true;
    timer ??= setTimeout(run, millis);
  };
}

for (const figure of document.querySelectorAll("figure.chart[data-chart]")) new Chart(figure);
