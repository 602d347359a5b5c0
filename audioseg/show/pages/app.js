"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const { limits, backgrounds } = JSON.parse($("data").textContent);
  const HEADERS = { "X-Audioseg": "1" };
  const clock = (t) => `${Math.floor(t / 60)}:${String(Math.floor(t % 60)).padStart(2, "0")}`;
  const problem = (text) => { $("problems").textContent = text; };
  const LOST = "The app does not answer: it has ended, or the network is gone.";

  // the keys of this tab's recordings outlive a reload
  const stored = () => JSON.parse(sessionStorage.getItem("keys") ?? "[]");
  const store = (keys) => sessionStorage.setItem("keys", JSON.stringify(keys));

  const item = (name) => {
    const li = $("item").content.firstElementChild.cloneNode(true);
    const part = (css) => li.querySelector(css);
    part(".name").textContent = name;
    part(".remove").setAttribute("aria-label", `Remove ${name}`);
    part("progress").setAttribute("aria-label", `Progress of ${name}`);
    $("list").prepend(li);
    $("none").hidden = true;
    return {
      li, part,
      fail(text) {
        part(".state").textContent = "";
        part("progress").hidden = true;
        part(".error").hidden = false;
        part(".error").textContent = text;
        $("status").textContent = text;
      },
      gone() {
        li.remove();
        $("none").hidden = $("list").children.length > 0;
      },
    };
  };

  const send = (blob, name) => {
    const one = item(name);
    const most = limits.megabytes * 1e6;
    one.part(".remove").onclick = () => one.gone();
    if (blob.size > most) {
      one.fail(`${name} has ${Math.ceil(blob.size / 1e6).toLocaleString("en")} MB, and `
        + `${limits.megabytes} MB is the most that is taken: cut it, or save it as MP3.`);
      return;
    }
    // fetch() does not tell how much has been sent
    const request = new XMLHttpRequest();
    request.open("POST", `recordings?name=${encodeURIComponent(name)}`);
    for (const [header, value] of Object.entries(HEADERS)) request.setRequestHeader(header, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      one.part(".state").textContent = `sending, ${Math.round((100 * event.loaded) / event.total)} %`;
      one.part("progress").value = event.loaded / event.total;
    };
    request.onload = () => {
      if (request.status === 201) {
        store([...stored(), request.response.key]);
        watch(one, request.response.key);
      } else one.fail(request.response?.error ?? LOST);
    };
    request.onerror = () => one.fail(LOST);
    one.part(".remove").onclick = () => { request.abort(); one.gone(); };
    request.send(blob);
  };

  const STATES = {
    waiting: (s) => (s.ahead ? `waiting for ${s.ahead} other${s.ahead > 1 ? "s" : ""}` : "waiting"),
    working: (s) => (s.seconds ? `listening, ${clock(s.done)} of ${clock(s.seconds)}` : `listening, ${clock(s.done)}`),
    writing: () => "making the page",
    done: (s) => clock(s.seconds),
    failed: () => "",
  };
  const watch = async (one, key) => {
    const url = `recordings/${key}`;
    one.part(".remove").onclick = async () => {
      store(stored().filter((other) => other !== key));
      one.gone();
      try { await fetch(url, { method: "DELETE", headers: HEADERS }); } catch { problem(LOST); }
    };
    for (;;) {
      let said;
      try {
        const answer = await fetch(url);
        said = await answer.json();
        if (!answer.ok) {
          store(stored().filter((other) => other !== key));
          one.fail(said.error);
          return;
        }
      } catch {
        one.fail(LOST);
        return;
      }
      if (!one.li.isConnected) return;
      one.part(".name").textContent = said.name;
      one.part(".state").textContent = STATES[said.state](said);
      const bar = one.part("progress");
      if (said.state === "working" && said.seconds) bar.value = Math.min(1, said.done / said.seconds);
      else bar.removeAttribute("value");
      if (said.state === "failed") {
        one.fail(said.error);
        return;
      }
      if (said.state === "done") {
        bar.hidden = true;
        show(one, url, said);
        return;
      }
      await new Promise((after) => setTimeout(after, 400));
    }
  };
  const show = (one, url, said) => {
    one.part(".error").hidden = !said.note;
    one.part(".error").textContent = said.note;
    const track = one.part(".track"), words = [];
    for (const [label, share] of Object.entries(said.shares).sort((a, b) => b[1] - a[1])) {
      const box = document.createElement("span");
      box.style.width = `${100 * share}%`;
      box.style.background = backgrounds[label];
      box.title = `${label} ${(100 * share).toFixed(1)} %`;
      track.append(box);
      words.push(`${label} ${Math.round(100 * share)} %`);
    }
    track.setAttribute("aria-label", words.join(", "));
    track.hidden = false;
    one.part(".state").textContent += ` · ${words.join(", ")}`;
    const results = one.part(".results");
    for (const file of [said.files.at(-1), ...said.files.slice(0, -1)]) {
      const link = document.createElement("a"), page = file.endsWith(".html");
      link.className = "button";
      link.href = `${url}/${encodeURIComponent(file)}`;
      if (page) link.target = "_blank"; else link.download = file;
      link.textContent = page ? "Open the page" : `↓ ${file.slice(file.lastIndexOf("."))}`;
      if (!page) link.setAttribute("aria-label", `Save ${file}`);
      results.append(link);
      if (page) {
        const save = link.cloneNode();
        save.removeAttribute("target");
        save.download = file;
        save.textContent = "↓ page";
        results.append(save);
      }
    }
    results.hidden = false;
    $("status").textContent = `${said.name} is done`;
  };

  const sendAll = (files) => { problem(""); for (const file of files) send(file, file.name); };
  $("files").addEventListener("change", (event) => {
    sendAll(event.target.files);
    event.target.value = "";
  });
  const drop = $("drop");
  for (const what of ["dragenter", "dragover"])
    document.addEventListener(what, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const what of ["dragleave", "drop"])
    document.addEventListener(what, () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    sendAll(event.dataTransfer.files);
  });

  // ---- the microphone
  const button = $("record");
  if (!navigator.mediaDevices?.getUserMedia) {
    button.disabled = true;
    $("record-note").textContent = "Browsers allow the microphone only to pages from this machine, or "
      + "over https: record with another program, and send the file.";
  } else {
    const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const screen = WaveSurfer.create({ container: $("level"), height: 48, waveColor: css("--accent"), interact: false });
    const record = screen.registerPlugin(WaveSurfer.Record.create({
      renderRecordedAudio: false, scrollingWaveform: true, scrollingWaveformWindow: 8,
    }));
    const shown = (on) => {
      button.classList.toggle("on", on);
      $("record-text").textContent = on ? "Stop and send" : "Start";
      if (!on) $("length").textContent = "";
    };
    record.on("record-progress", (ms) => { $("length").textContent = clock(ms / 1000); });
    record.on("record-end", (blob) => {
      shown(false);
      const now = new Date(), two = (n) => String(n).padStart(2, "0");
      const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
      const hour = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(".");
      const kind = blob.type.includes("mp4") ? "m4a" : blob.type.includes("ogg") ? "ogg" : "webm";
      send(blob, `recording ${day} ${hour}.${kind}`);
    });
    button.addEventListener("click", async () => {
      problem("");
      if (record.isRecording()) {
        record.stopRecording();
        return;
      }
      try {
        await record.startRecording();
        shown(true);
      } catch (error) {
        problem(`The microphone cannot be used (${error.message}): allow it for this page, or plug one in.`);
      }
    });
  }

  for (const key of stored()) watch(item("…"), key);
  document.documentElement.dataset.ready = "yes";
})();
