"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const bytes = (text) => {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  };
  const { seconds, starts, ends, labels, classes, colors, backgrounds } = data;
  const count = classes.length;
  const chances = bytes(data.probabilities);
  const frames = chances.length / count;
  const clock = (t, decimals = 1) => {
    const ticks = Math.round(t * 10 ** decimals), one = 10 ** decimals;
    const whole = Math.floor(ticks / one), h = Math.floor(whole / 3600);
    const m = Math.floor(whole / 60) % 60, s = String(whole % 60).padStart(2, "0");
    const front = h ? `${h}:${String(m).padStart(2, "0")}` : `${m}`;
    return `${front}:${s}` + (decimals ? `.${String(ticks % one).padStart(decimals, "0")}` : "");
  };

  // the waveform: 127 is full scale, drawn so that the loudest fills the height
  const outline = [data.high, data.low].map((text) => new Int8Array(bytes(text).buffer));
  let loudest = 1;
  for (const side of outline) for (const v of side) loudest = Math.max(loudest, Math.abs(v));
  const peaks = outline.map((side) => Float32Array.from(side, (v) => v / loudest));

  const audio = $("audio");
  const mp3 = $("mp3").textContent;
  audio.addEventListener("error", () => { $("no-sound").hidden = false; });
  audio.addEventListener("loadedmetadata", () => { $("no-sound").hidden = true; });
  audio.src = mp3 ? URL.createObjectURL(new Blob([bytes(mp3)], { type: "audio/mpeg" }))
    : encodeURIComponent(data.sound);
  $("choose").addEventListener("change", (event) => {
    if (event.target.files.length) audio.src = URL.createObjectURL(event.target.files[0]);
  });

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const inks = () => ({ waveColor: css("--wave"), progressColor: css("--wave"), cursorColor: css("--bad") });
  const regions = WaveSurfer.Regions.create();
  const map = WaveSurfer.Minimap.create({
    container: $("map"), height: 36, ...inks(), overlayColor: "rgba(128,128,128,0.28)", cursorWidth: 1,
  });
  const ws = WaveSurfer.create({
    container: $("wave"), media: audio, peaks, duration: seconds, height: 110, cursorWidth: 2,
    hideScrollbar: false, autoCenter: false, ...inks(), plugins: [regions, map],
  });

  // ---- what is seen
  let from = 0, to = seconds;
  const lanes = $("lanes"), head = $("head"), laneHeight = count > 8 ? 20 : 28;
  const canvases = Object.fromEntries(["strip", "ruler", "segments", "chances"].map((id) => [id, $(id)]));
  canvases.chances.style.height = `${laneHeight * count}px`;
  for (let c = 0; c < count; c++) {
    const item = document.createElement("li"), swatch = document.createElement("span"), text = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = backgrounds[c];
    text.textContent = text.title = classes[c];
    item.style.height = `${laneHeight}px`;
    item.append(swatch, text);
    $("names").append(item);
  }
  const prepared = (canvas) => {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const ctx = canvas.getContext("2d");
    ctx.scale(ratio, ratio);
    ctx.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    return { ctx, width, height };
  };
  // what a class is filled with: its colour, hatched as by CSS elsewhere
  const fill = (ctx, c) => {
    if (!data.hatches[c]) return colors[c];
    const ratio = window.devicePixelRatio || 1, side = 6, tile = document.createElement("canvas");
    tile.width = tile.height = Math.round(side * ratio);
    const t = tile.getContext("2d");
    t.scale(tile.width / side, tile.height / side);
    t.fillStyle = colors[c];
    t.fillRect(0, 0, side, side);
    t.globalAlpha = 0.6;
    t.strokeStyle = t.fillStyle = data.inks[c];
    t.beginPath();
    if (data.hatches[c] === "/") {
      for (const shift of [-side, 0, side]) {
        t.moveTo(shift - 1, side + 1);
        t.lineTo(shift + side + 1, -1);
      }
      t.stroke();
    } else {
      t.arc(side / 2, side / 2, 1.2, 0, 7);
      t.fill();
    }
    const pattern = ctx.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scale(side / tile.width));
    return pattern;
  };
  // the number of the segment at a time
  const at = (t) => {
    let low = 0, high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= t) low = middle; else high = middle - 1;
    }
    return low;
  };
  const boxes = (ctx, width, height, begin, end, names) => {
    const scale = width / (end - begin), fills = classes.map((_, c) => fill(ctx, c));
    for (let i = at(begin); i < starts.length && starts[i] < end; i++) {
      const left = Math.max(0, (starts[i] - begin) * scale);
      const right = Math.min(width, (ends[i] - begin) * scale);
      ctx.fillStyle = fills[labels[i]];
      ctx.fillRect(left, 0, Math.max(0.6, right - left - (names && right - left > 3 ? 1 : 0)), height);
      if (names && right - left > 22) {
        ctx.save();
        ctx.beginPath();
        ctx.rect(left, 0, right - left - 4, height);
        ctx.clip();
        const text = classes[labels[i]];
        ctx.fillStyle = colors[labels[i]]; // no hatch behind letters
        ctx.fillRect(left + 2, height / 2 - 9, ctx.measureText(text).width + 6, 18);
        ctx.fillStyle = data.inks[labels[i]];
        ctx.fillText(text, left + 5, height / 2);
        ctx.restore();
      }
    }
  };
  const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  const drawRuler = () => {
    const { ctx, width } = prepared(canvases.ruler), scale = width / (to - from);
    const step = STEPS.find((s) => s * scale >= 72) || 28800;
    ctx.fillStyle = css("--soft");
    for (let k = Math.floor(from / step); k * step <= to; k++) {
      const x = (k * step - from) * scale;
      if (x < -60) continue;
      ctx.fillRect(Math.round(x), 0, 1, 6);
      const text = clock(k * step, step < 1 ? 1 : 0), wide = ctx.measureText(text).width;
      if (x + 4 + wide <= width) ctx.fillText(text, x + 4, 12);
    }
  };
  const drawChances = () => {
    const { ctx, width, height } = prepared(canvases.chances);
    const per = (to - from) / width / data.hop, first = (from - data.first) / data.hop;
    const line = css("--line");
    for (let c = 0; c < count; c++) {
      const base = (c + 1) * laneHeight - 1, tall = laneHeight - 5;
      ctx.fillStyle = line;
      ctx.fillRect(0, base, width, 1);
      ctx.fillStyle = fill(ctx, c);
      ctx.beginPath();
      ctx.moveTo(0, base);
      for (let x = 0; x < width; x++) {
        let a = Math.round(first + x * per), b = Math.max(a + 1, Math.round(first + (x + 1) * per));
        a = Math.min(frames - 1, Math.max(0, a));
        b = Math.min(frames, Math.max(a + 1, b));
        let sum = 0;
        for (let i = a; i < b; i++) sum += chances[i * count + c];
        ctx.lineTo(x, base - (tall * sum) / (b - a) / 255);
      }
      ctx.lineTo(width, base);
      ctx.fill();
    }
  };
  let asked = false;
  const draw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      const scroller = ws.getWrapper().parentElement, whole = ws.getWrapper().scrollWidth || 1;
      from = (ws.getScroll() / whole) * seconds;
      to = Math.min(seconds, ((ws.getScroll() + scroller.clientWidth) / whole) * seconds);
      addRegions();
      drawRuler();
      const { ctx, width, height } = prepared(canvases.segments);
      boxes(ctx, width, height, from, to, true);
      drawChances();
      moveHead();
    });
  };
  const drawStrip = () => {
    const { ctx, width, height } = prepared(canvases.strip);
    boxes(ctx, width, height, 0, seconds, false);
  };
  const moveHead = () => {
    const share = (audio.currentTime - from) / (to - from);
    head.hidden = share < 0 || share > 1;
    head.style.left = `${100 * share}%`;
  };

  // segments behind the waveform; a mixture lets the waveform be seen. Of thousands in view none
  // could be seen, and each takes time: they come once so many fit.
  const MOST_REGIONS = 800, added = new Set();
  const tint = (color) => `color-mix(in srgb, ${color} 42%, transparent)`;
  const addRegions = () => {
    const first = at(from), last = at(to);
    if (last - first > MOST_REGIONS) return;
    for (let i = first; i <= last && i < starts.length; i++) {
      if (added.has(i)) continue;
      added.add(i);
      regions.addRegion({
        start: starts[i], end: ends[i], color: tint(colors[labels[i]]), drag: false, resize: false,
      });
    }
  };

  // ---- zoom: a slider from the whole recording to 200 pixels a second
  const zoom = $("zoom");
  const least = () => ws.getWidth() / seconds;
  const most = () => Math.max(least(), Math.min(200, 8e6 / seconds));
  let density = 0;
  const setZoom = (wanted, center = null) => {
    density = Math.min(most(), Math.max(least(), wanted));
    const keep = center ?? Math.min(to, Math.max(from, audio.currentTime));
    const share = (keep - from) / (to - from || 1);
    ws.zoom(density <= least() * 1.001 ? 0 : density);
    ws.setScroll(keep * density - share * ws.getWidth());
    const range = Math.log(most() / least()) || 1;
    zoom.value = Math.round((100 * Math.log(density / least())) / range);
    zoom.setAttribute("aria-valuetext", `${clock(ws.getWidth() / density)} in view`);
    draw();
  };
  zoom.addEventListener("input", () => setZoom(least() * (most() / least()) ** (zoom.value / 100)));
  $("in").addEventListener("click", () => setZoom(density * 2));
  $("out").addEventListener("click", () => setZoom(density / 2));
  $("fit").addEventListener("click", () => setZoom(0));
  $("view").addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    setZoom(density * 2 ** (-event.deltaY / 200), timeOf(event));
  }, { passive: false });

  // ---- playing
  const status = $("status"), chip = $("class"), wave = $("wave");
  const play = () => ws.play().catch(() => { $("no-sound").hidden = !audio.error; });
  const seek = (t, say = false) => {
    const there = Math.min(Math.max(0, t), Math.max(0, seconds - 0.01));
    // wavesurfer would put it off until the seek before it has ended, and the element need not
    audio.currentTime = there;
    if (!audio.readyState) ws.setTime(there); // without sound, too, one can look
    update(); // the element says so itself only when it has got there
    if (say) status.textContent = `${clock(t)}, ${classes[labels[at(t + 0.001)]]}`;
  };
  const boundary = (direction) => {
    const t = audio.currentTime;
    if (direction > 0) {
      const next = starts.find((s) => s > t + 0.02);
      if (next !== undefined) seek(next, true);
    } else {
      // soon after a boundary, the one before it is meant
      let i = at(t - 0.3);
      seek(starts[i], true);
    }
  };
  const nextOf = (number) => {
    const t = audio.currentTime, all = starts.keys();
    const of = [...all].filter((i) => labels[i] === number);
    const next = of.find((i) => starts[i] > t + 0.02) ?? of[0];
    seek(starts[next], true);
    play();
  };
  let current = -1, row = null;
  const update = () => {
    const t = audio.currentTime, i = at(t);
    $("time").textContent = clock(t);
    wave.setAttribute("aria-valuenow", t.toFixed(1));
    wave.setAttribute("aria-valuetext", `${clock(t)}, ${classes[labels[i]] ?? ""}`);
    moveHead();
    if (i === current || !starts.length) return;
    current = i;
    chip.textContent = classes[labels[i]];
    chip.style.background = colors[labels[i]];
    chip.style.color = data.inks[labels[i]];
    row?.removeAttribute("aria-current");
    row = $("rows").children[i];
    row.setAttribute("aria-current", "true");
    const box = $("table-box");
    if ($("table").open && !box.contains(document.activeElement)) {
      const top = row.offsetTop - box.offsetTop;
      if (top < box.scrollTop + 40 || top > box.scrollTop + box.clientHeight - 40) box.scrollTop = top - 120;
    }
  };
  $("play").addEventListener("click", () => (ws.isPlaying() ? ws.pause() : play()));
  $("previous").addEventListener("click", () => boundary(-1));
  $("next").addEventListener("click", () => boundary(1));
  $("speed").addEventListener("change", (event) => ws.setPlaybackRate(Number(event.target.value)));
  for (const button of document.querySelectorAll("[data-class]"))
    button.addEventListener("click", () => nextOf(Number(button.dataset.class)));
  const shown = () => {
    const on = ws.isPlaying();
    $("play-text").textContent = on ? "Pause" : "Play";
    $("play-icon").setAttribute("d", on ? "M5 3v10M11 3v10" : "M4 2.5v11L13 8z");
  };
  for (const what of ["play", "pause", "finish"]) ws.on(what, shown);
  ws.on("timeupdate", update);
  ws.on("interaction", play);
  for (const what of ["scroll", "redraw", "resize"]) ws.on(what, draw);
  ws.on("resize", () => { drawStrip(); if (density <= least()) setZoom(0); });

  const timeOf = (event) => {
    const box = lanes.getBoundingClientRect();
    return from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (to - from);
  };
  for (const id of ["ruler", "segments", "chances"])
    $(id).addEventListener("click", (event) => { seek(timeOf(event)); play(); });
  $("strip").addEventListener("click", (event) => {
    const box = event.target.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * seconds);
    play();
  });

  // ---- what is under the pointer
  const tip = $("tip");
  lanes.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const t = timeOf(event), box = lanes.getBoundingClientRect();
    const frame = Math.min(frames - 1, Math.max(0, Math.round((t - data.first) / data.hop)));
    const lane = Math.floor((event.clientY - $("chances").getBoundingClientRect().top) / laneHeight);
    const number = lane >= 0 && lane < count ? lane : labels[at(t)];
    const sure = (chances[frame * count + number] / 255).toFixed(2);
    tip.textContent = `${clock(t)} · ${classes[number]} ${sure}`;
    tip.hidden = false;
    const x = event.clientX - box.left;
    tip.style.left = `${Math.min(x + 14, box.width - tip.offsetWidth)}px`;
    tip.style.top = `${event.clientY - box.top + 14}px`;
  });
  lanes.addEventListener("pointerleave", () => { tip.hidden = true; });

  // ---- keys
  const ACTIONS = {
    ArrowLeft: () => seek(audio.currentTime - 5), ArrowRight: () => seek(audio.currentTime + 5),
    Home: () => seek(0), End: () => seek(seconds), " ": () => $("play").click(),
    p: () => boundary(-1), n: () => boundary(1),
    ",": () => seek(audio.currentTime - 0.1), ".": () => seek(audio.currentTime + 0.1),
    "+": () => setZoom(density * 2), "=": () => setZoom(density * 2), "-": () => setZoom(density / 2),
    0: () => setZoom(0),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target.closest("input, select, textarea")) return;
    if (event.key === " " && target.closest("button, a, summary")) return;
    if (["Home", "End"].includes(event.key) && !["wave", ""].includes(target.id)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key.length === 1 && key !== " " && !$("letters").checked && target !== wave) return;
    if (event.shiftKey && key.startsWith("Arrow")) {
      if (key === "ArrowLeft" || key === "ArrowRight") boundary(key === "ArrowLeft" ? -1 : 1);
      else return;
    } else if (ACTIONS[key]) ACTIONS[key]();
    else return;
    event.preventDefault();
  });

  // ---- a link to a time: page.html#t=83.2
  const follow = () => {
    const said = /^#t=([0-9.]+)$/.exec(location.hash);
    if (said) seek(Number(said[1]), true);
    return Boolean(said);
  };
  $("rows").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    follow();
    play();
  });
  window.addEventListener("hashchange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    ws.setOptions(inks());
    draw();
  });

  ws.once("ready", () => {
    setZoom(0);
    drawStrip();
    follow();
    update();
    document.documentElement.dataset.ready = "yes";
  });
  window.player = ws;
})();
