// Asks for a small file four times a second and draws which machine answered.
"use strict";
(() => {
  const EVERY_MS = 250;
  const SHOWN_MS = 30000;
  const PATIENCE_MS = 10000;
  const HEADER = "x-served-by";

  const byId = (id) => document.getElementById(id);
  const [live, canvas, body, lost, pause] = ["live", "lanes", "counts", "lost", "pause"].map(byId);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const lanes = new Map(); // machine → what it has answered
  let marks = []; // { at, lane, took }; lane null is no answer
  let asked = 0;
  let answered = 0;
  let unanswered = 0;
  let longest = 0; // the longest time in which nothing was answered, in ms
  let lastAnswer = performance.now();
  let running = true;

  function laneOf(name) {
    let lane = lanes.get(name);
    if (!lane) {
      const row = body.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      const label = document.createElement("span");
      label.textContent = name;
      head.append(label);
      row.append(head);
      const cells = [0, 1, 2].map(() => row.insertCell());
      lane = { index: 0, name, count: 0, times: [], seen: 0, row, cells };
      lanes.set(name, lane);
      sort();
    }
    return lane;
  }

  // Lanes stand in the order of their names, whoever answered first.
  function sort() {
    const order = [...lanes.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    order.forEach((lane, index) => {
      lane.index = index;
      lane.row.firstElementChild.style.color = `var(--lane-${index % 6})`;
      body.append(lane.row);
    });
  }

  async function ask() {
    const start = performance.now();
    const path = asked++ % 2 ? "dots/b" : "dots/a";
    try {
      const options = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
      const response = await fetch(path, options);
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`status ${response.status}`);
      heard(response.headers.get(HEADER) || "unnamed", start);
    } catch {
      unanswered += 1;
      marks.push({ at: performance.now(), lane: null, took: 0 });
    }
  }

  function heard(name, start) {
    const now = performance.now();
    const lane = laneOf(name);
    answered += 1;
    lane.count += 1;
    lane.seen = now;
    lane.times.push(now - start);
    if (lane.times.length > 40) lane.times.shift();
    longest = Math.max(longest, now - lastAnswer);
    lastAnswer = now;
    marks.push({ at: now, lane, took: now - start });
  }

  const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

  function tell() {
    const now = performance.now();
    for (const lane of lanes.values()) {
      const [count, share, time] = lane.cells;
      count.textContent = lane.count;
      share.textContent = `${Math.round((lane.count / answered) * 100)} %`;
      time.textContent = `${median(lane.times).toFixed(1)} ms`;
      lane.row.classList.toggle("silent", now - lane.seen > 3000);
    }
    const pauseText = longest > 0 ? ` Longest pause between two answers: ${Math.round(longest)} ms.` : "";
    lost.textContent =
      (unanswered === 0 ? "No request has gone unanswered." : `${unanswered} of ${asked} requests went unanswered.`) + pauseText;
    lost.classList.toggle("bad", unanswered > 0);
  }

  function draw() {
    const now = performance.now();
    marks = marks.filter((mark) => now - mark.at < SHOWN_MS);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const scale = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const laneHeight = 40;
    const height = Math.max(1, lanes.size) * laneHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const left = Math.min(96, width * 0.24);
    pen.font = "600 13px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (const lane of lanes.values()) {
      const y = (lane.index + 0.5) * laneHeight;
      pen.strokeStyle = colour("--line");
      pen.beginPath();
      pen.moveTo(left, y);
      pen.lineTo(width, y);
      pen.stroke();
      pen.fillStyle = now - lane.seen > 3000 ? colour("--soft") : colour("--ink");
      pen.fillText(lane.name, 0, y, left - 12);
    }
    for (const mark of marks) {
      const age = (now - mark.at) / SHOWN_MS;
      const x = width - 6 - age * (width - left - 12);
      pen.globalAlpha = 1 - age * 0.75;
      if (!mark.lane) {
        pen.fillStyle = colour("--bad");
        pen.fillRect(x - 1, 0, 2, height);
        continue;
      }
      // Slower answers are larger dots: the area grows with the time.
      const size = Math.min(11, 3.2 + Math.sqrt(mark.took) * 0.35);
      pen.fillStyle = colour(`--lane-${mark.lane.index % 6}`);
      pen.beginPath();
      pen.arc(x, (mark.lane.index + 0.5) * laneHeight, size, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  function frame() {
    if (!still.matches && running && !document.hidden) draw();
    requestAnimationFrame(frame);
  }

  pause.addEventListener("click", () => {
    running = !running;
    pause.textContent = running ? "Pause" : "Go on";
    pause.setAttribute("aria-pressed", String(!running));
    lastAnswer = performance.now();
  });
  document.addEventListener("visibilitychange", () => {
    lastAnswer = performance.now();
  });

  live.hidden = false;
  setInterval(() => {
    if (running && !document.hidden) ask();
  }, EVERY_MS);
  setInterval(() => {
    if (lanes.size > 0 && running) tell();
    if (still.matches && running) draw();
  }, 1000);
  requestAnimationFrame(frame);
})();
