// Keeps the status page live: receives rendered parts of it and moves the page towards them.
//
// Nothing is rendered here. Elements are changed in place instead of replaced, so that a selection, the
// focus and an opened explanation survive.
"use strict";
(() => {
  const live = document.getElementById("live");
  const QUIET_MS = 8000;
  let source = null;
  let timer = 0;

  function say(state, text) {
    if (live.dataset.state === state && live.textContent === text) return;
    live.hidden = false;
    live.dataset.state = state;
    live.textContent = text;
  }

  // Whether two nodes are the same thing at two moments.
  const alike = (a, b) =>
    a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  // Makes `node` equal to `goal`, keeping what is alike.
  function morph(node, goal) {
    if (node.nodeType !== Node.ELEMENT_NODE) {
      if (node.data !== goal.data) node.data = goal.data;
      return;
    }
    for (const { name } of [...node.attributes]) {
      // What the reader opened stays open.
      if (!goal.hasAttribute(name) && name !== "open") node.removeAttribute(name);
    }
    for (const { name, value } of [...goal.attributes]) {
      if (node.getAttribute(name) !== value) node.setAttribute(name, value);
    }
    let child = node.firstChild;
    for (const next of [...goal.childNodes]) {
      if (next.id && (!child || child.id !== next.id)) {
        const kept = [...node.children].find((other) => other.id === next.id);
        if (kept) {
          node.insertBefore(kept, child);
          child = kept;
        }
      }
      if (child && alike(child, next)) {
        morph(child, next);
        child = child.nextSibling;
      } else {
        node.insertBefore(next, child);
      }
    }
    while (child) {
      const gone = child;
      child = child.nextSibling;
      gone.remove();
    }
  }

  // A list that is being read does not move, and says so.
  function held(node) {
    if (node.id !== "decisions" || !node.querySelector("details[open], summary:focus-visible")) return false;
    node.classList.add("held");
    return true;
  }

  function show(parts) {
    for (const [id, html] of Object.entries(parts)) {
      const node = document.getElementById(id);
      if (!node || held(node)) continue;
      const template = document.createElement("template");
      template.innerHTML = html;
      const goal = template.content.firstElementChild;
      if (goal) morph(node, goal);
    }
    const name = document.querySelector("#banner h1");
    if (name) document.title = `${name.textContent} – Backhand`;
  }

  function heard() {
    say("live", "live");
    clearTimeout(timer);
    timer = setTimeout(() => say("lost", "no word"), QUIET_MS);
  }

  function open() {
    if (source) return;
    source = new EventSource("events");
    source.addEventListener("parts", (event) => {
      heard();
      show(JSON.parse(event.data));
    });
    source.onerror = () => {
      clearTimeout(timer);
      say("lost", "reconnecting");
      // A refusal ends the source for good; then we try anew ourselves.
      if (source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(() => document.hidden || open(), 2000);
      }
    };
  }

  function close() {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  }

  // Nobody renders for a page that nobody sees.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  say("wait", "connecting");
  open();
})();
