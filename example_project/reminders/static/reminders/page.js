// Keeps the list of jobs up to date while somebody looks. Without this script, reloading the page does the same.
"use strict";

const list = document.getElementById("jobs");
const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
let shown = "";

async function refresh() {
  if (document.hidden) return;
  try {
    const response = await fetch(list.dataset.url);
    if (response.ok) show(await response.text());
  } catch {
    // The server is away; the next round asks again.
  }
}

// Replaces the list only if it has changed, and leaves the keyboard focus on the button where it was.
function show(html) {
  if (html === shown) return;
  const focused = document.activeElement.getAttribute("formaction");
  list.innerHTML = shown = html;
  if (focused) list.querySelector(`[formaction="${focused}"]`)?.focus();
  tellTimes();
}

function tellTimes() {
  if (document.hidden) return;
  for (const time of list.querySelectorAll("time")) {
    time.title ||= time.textContent;
    time.textContent = relative(new Date(time.dateTime));
  }
}

function relative(instant) {
  const seconds = Math.round((instant - Date.now()) / 1000);
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units.at(-1);
  return words.format(Math.round(seconds / size), unit);
}

function lookAgain() {
  tellTimes();
  refresh();
}

setInterval(refresh, 2000);
setInterval(tellTimes, 1000);
document.addEventListener("visibilitychange", lookAgain);
lookAgain();
