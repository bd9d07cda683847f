// Keeps the page as it is now: what the server tells is passed on as events of the document, and elements with
// data-live are fetched anew with their page. Times are shown in the viewer's zone. Without it every page still works.
//
// On document: stakeout:watch, stakeout:alert, stakeout:delivery (detail: what the server said), stakeout:reset.
// On an element that took another's place: stakeout:fresh, which bubbles.

const SOONEST = 1000; // Milliseconds between two looks at the page.
const GENTLE = 10; // Of its time a tab spends at most one part in so many on looking.
const TOAST = 10000;
const REFUSED = 5000; // Milliseconds until the stream is asked for again.

// Times

const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const toTheSecond = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

// The same words as the server's.
function length(seconds) {
  if (seconds < 60) return "under 1 min";
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  const first = units.findIndex(([, size]) => seconds >= size);
  let rest = seconds;
  const words = units.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count && `${count} ${name}`;
  });
  return words.filter(Boolean).join(" ");
}

function tell(time) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const ahead = Math.trunc((at - Date.now()) / 1000);
  let text = (time.matches(".to-the-second") ? toTheSecond : short).format(at);
  if (time.matches(".age")) text = length(Math.abs(ahead));
  if (time.matches(".ago")) text = Math.abs(ahead) < 45 ? "now" : ahead > 0 ? `in ${length(ahead)}` : `${length(-ahead)} ago`;
  if (time.textContent !== text) time.textContent = text;
  const title = exact.format(at);
  if (time.title !== title) time.title = title;
}

function tellTimes(root) {
  root.querySelectorAll("time.moment, time.age, time.ago").forEach(tell);
}

// What is on the page

let wanted = new Set();
const held = new Set(); // What somebody was busy with when there was something newer.
let pressed = null; // Where a pointer is down: what lies under it stays, so that a click is not lost.
let timer = null;
let isLooking = false;
const known = new Map(); // What the server last said of an element, by its id.

function ask(matches) {
  for (const element of document.querySelectorAll("[data-live][id]")) {
    // One topic a line: the name of a watch may hold anything but that.
    if (element.dataset.live.split("\n").some(matches)) wanted.add(element.id);
  }
  soon();
}

function soon() {
  if (wanted.size && !timer && !isLooking) timer = setTimeout(look, SOONEST);
}

// Somebody who writes, chooses, presses or marks text in it is not disturbed.
function isBusy(element) {
  if (element.contains(pressed)) return true;
  const inside = element.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
  const marked = document.getSelection();
  return inside || (marked && !marked.isCollapsed && element.contains(marked.anchorNode));
}

// What was held is looked at anew when nobody is busy with it any more.
function release() {
  for (const id of held) {
    const element = document.getElementById(id);
    if (element && isBusy(element)) continue;
    held.delete(id);
    wanted.add(id);
  }
  soon();
}

function press(event) {
  pressed = event.target;
}

function letGo(event) {
  if (event.type === "blur" && event.target !== window) return;
  pressed = null;
  if (held.size) setTimeout(release);
}

addEventListener("pointerdown", press, true);
for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, letGo, true);
document.addEventListener("focusout", () => held.size && setTimeout(release));
document.addEventListener("selectionchange", () => held.size && release());

// What somebody chose, ticked or wrote and has not sent, by the field and its form.
function field(one) {
  return [one.form?.getAttribute("action"), one.name, one.type === "checkbox" || one.type === "radio" ? one.value : ""].join("\n");
}

function isChanged(one) {
  if (one.matches("select")) {
    const usual = [...one.options].findIndex((option) => option.defaultSelected);
    return one.selectedIndex !== Math.max(usual, 0);
  }
  return one.value !== one.defaultValue || one.checked !== one.defaultChecked;
}

function carryOver(old, fresh) {
  const fields = (root) => [...root.querySelectorAll("input:not([type=hidden]), select, textarea")];
  const changed = new Map(fields(old).filter(isChanged).map((one) => [field(one), one]));
  for (const one of fields(fresh)) {
    const was = changed.get(field(one));
    if (!was) continue;
    if (one.matches("select") && ![...one.options].some((option) => option.value === was.value)) continue;
    one.value = was.value;
    if (one.type === "checkbox" || one.type === "radio") one.checked = was.checked;
  }
}

async function look() {
  timer = null;
  if (document.hidden || isLooking) return;
  isLooking = true;
  const began = performance.now();
  const ids = wanted;
  wanted = new Set();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      ids.forEach((id) => replace(id, page.getElementById(id)));
    }
  } catch {
    // The stream notices when the server is gone, and asks for everything when it is back.
  }
  isLooking = false;
  const pause = Math.max(SOONEST, GENTLE * (performance.now() - began));
  if (wanted.size) timer = setTimeout(look, pause);
}

function replace(id, fresh) {
  const old = document.getElementById(id);
  if (!old || !fresh || known.get(id) === fresh.outerHTML) return;
  if (isBusy(old)) return void held.add(id);
  known.set(id, fresh.outerHTML);
  const marks = (root, what) => [...root.querySelectorAll(what)];
  const name = (one) => {
    const around = one.closest("[id]");
    return `${around.id}/${marks(around, "details").indexOf(one)}`;
  };
  const open = new Set(marks(old, "details[open]").map(name));
  const scrolled = marks(old, ".scroll").map((one) => one.scrollLeft);
  const controls = "a, button, summary, [tabindex]";
  const focused = marks(old, controls).indexOf(document.activeElement);
  const label = document.activeElement?.outerHTML;
  const element = document.importNode(fresh, true);
  tellTimes(element);
  carryOver(old, element);
  old.replaceWith(element);
  marks(element, "details").forEach((one) => open.has(name(one)) && (one.open = true));
  marks(element, ".scroll").forEach((one, nth) => (one.scrollLeft = scrolled[nth] ?? 0));
  if (focused >= 0) {
    const all = marks(element, controls);
    (all.find((one) => one.outerHTML === label) ?? all[focused])?.focus({ preventScroll: true });
  }
  element.dispatchEvent(new CustomEvent("stakeout:fresh", { bubbles: true }));
}

// What the server tells

const mark = document.getElementById("live");
let stream = null;
let wasLost = false;
let after = mark?.dataset.after ?? ""; // What was heard last; at first, when the page was made.

function listen() {
  if (stream || !mark) return;
  stream = new EventSource(`/api/v1/events?after=${encodeURIComponent(after)}`);
  stream.onopen = () => {
    connected(true);
    if (wasLost) ask(() => true);
    wasLost = false;
  };
  stream.onerror = () => {
    wasLost = true;
    connected(false);
    // After any answer but a good one a browser never asks again.
    if (stream?.readyState !== EventSource.CLOSED) return;
    hang();
    setTimeout(() => document.hidden || listen(), REFUSED);
  };
  const hear = (kind, matches) => stream.addEventListener(kind, (event) => {
    after = event.lastEventId;
    let detail = null;
    try { detail = JSON.parse(event.data); } catch { /* It says only that something happened. */ }
    document.dispatchEvent(new CustomEvent(`stakeout:${kind}`, { detail }));
    ask((topic) => matches(topic, detail));
    if (kind === "alert" && detail?.title) toast(detail);
  });
  hear("watch", (topic, watch) => topic === "watches" || topic === `watch:${watch?.name}`);
  hear("alert", (topic) => topic === "alerts");
  hear("delivery", (topic) => topic === "deliveries");
  hear("reset", () => true);
}

function connected(is) {
  mark.hidden = false;
  mark.classList.toggle("live-off", !is);
  const text = is ? "live" : "not connected";
  if (mark.textContent !== text) mark.textContent = text;
}

function hang() {
  stream?.close();
  stream = null;
  wasLost = true;
}

function toast(alert) {
  const place = document.getElementById("toasts");
  const link = Object.assign(document.createElement("a"), { href: "/alerts", textContent: alert.title });
  const box = Object.assign(document.createElement("p"), { className: "toast" });
  box.append(link);
  place.append(box);
  while (place.children.length > 3) place.firstChild.remove();
  setTimeout(() => box.remove(), TOAST);
}

// A browser keeps few connections to one server: a tab that nobody looks at keeps none.
document.addEventListener("visibilitychange", () => (document.hidden ? hang() : listen()));
addEventListener("pagehide", hang);
addEventListener("pageshow", () => document.hidden || listen());

tellTimes(document);
setInterval(() => document.hidden || tellTimes(document), 30000);

// What was done is said once.
const here = new URL(location.href);
if (here.searchParams.has("done")) {
  here.searchParams.delete("done");
  history.replaceState(history.state, "", here);
}
