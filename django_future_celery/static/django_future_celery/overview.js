// Brings the panels up to date from time to time, unless nobody looks, or somebody is at work on them.
"use strict";

(() => {
    const PAUSED = "future-overview-paused";
    const button = document.getElementById("future-refresh");
    const panels = document.getElementById("future-panels");
    let timer = null;
    let loading = false;

    const isPaused = () => localStorage.getItem(PAUSED) === "yes";

    function isBusy() {
        const selection = document.getSelection();
        return document.hidden
            || document.querySelector("dialog[open]") !== null
            || panels.contains(document.activeElement)
            || (!selection.isCollapsed && panels.contains(selection.anchorNode));
    }

    function replace(fresh) {
        const open = [...panels.querySelectorAll("details[open]")].map((each) => each.id);
        const scrolled = [...panels.querySelectorAll("[data-keep]")].map((each) => each.scrollLeft);
        panels.replaceChildren(...fresh.childNodes);
        open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
        panels.querySelectorAll("[data-keep]").forEach((each, n) => { each.scrollLeft = scrolled[n] ?? 0; });
    }

    // Logged out, or no longer allowed to look: to ask again would not help.
    function giveUp() {
        clearInterval(timer);
        button.hidden = true;
        const note = panels.querySelector("[data-gone]");
        note.textContent = note.dataset.gone;
        note.setAttribute("role", "status");
    }

    async function refresh() {
        if (loading || isPaused() || isBusy()) {
            return;
        }
        loading = true;
        try {
            const response = await fetch(location.href, {credentials: "same-origin"});
            const page = new DOMParser().parseFromString(await response.text(), "text/html");
            const fresh = page.getElementById("future-panels");
            if (fresh && !isBusy()) {
                replace(fresh);
            } else if (!fresh && response.status < 500) {
                giveUp();
            }
        } catch {
            // The server cannot be reached: it may be back the next time.
        } finally {
            loading = false;
        }
    }

    function label() {
        button.textContent = isPaused() ? button.dataset.resume : button.dataset.pause;
    }

    button.addEventListener("click", () => {
        localStorage.setItem(PAUSED, isPaused() ? "no" : "yes");
        label();
        refresh();
    });
    document.addEventListener("visibilitychange", refresh);
    button.hidden = false;
    label();
    timer = setInterval(refresh, Number(button.dataset.seconds) * 1000);
})();
