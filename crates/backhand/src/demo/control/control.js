// Keeps the control page live. Everything is rendered by the demonstration; here parts are only put in place.
"use strict";
(() => {
  const shown = {};

  async function look() {
    try {
      const parts = await (await fetch("parts.json")).json();
      for (const [id, html] of Object.entries(parts)) {
        // What has not changed stays, with the button under the pointer and the focus.
        if (shown[id] === html) continue;
        shown[id] = html;
        document.getElementById(id).innerHTML = html;
      }
    } catch {
      // The demonstration has ended, or is busy: asked again.
    }
    setTimeout(look, document.hidden ? 2000 : 300);
  }

  document.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(event.target, event.submitter));
    const answer = await fetch("do", { method: "POST", body, redirect: "manual" });
    if (answer.type !== "opaqueredirect" && !answer.ok) alert(await answer.text());
  });
  look();
})();
